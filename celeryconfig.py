"""Every Celery setting, with its reason. Read by the worker, by Flower and by the bridge."""

from app.channels import QUEUE
from app.settings import process_settings
from app.urls import tls_of, without_tls_options

_url = process_settings().celery_broker_url
broker_url = without_tls_options(_url)
# For rediss://. By itself Celery would not verify the server, and Flower would not start.
broker_use_ssl = tls_of(_url)

# Without timeouts a half-open connection hangs worker and publisher for ever.
broker_transport_options = {
    "socket_timeout": 5,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    # A dead connection is noticed within the sum of this and the timeout.
    "health_check_interval": 5,
    # After this a task of a dead worker is delivered again. Minutes, because retry pauses are
    # seconds: a task whose pause is longer would be delivered twice.
    "visibility_timeout": 300,
    # Before every key and channel, also those of events and of `celery inspect`.
    "global_keyprefix": process_settings().names.prefix,
}
broker_connection_timeout = 5

# A worker survives any outage of Redis.
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
# Also a Redis that is full: its answer is a channel error, which would end the worker.
broker_channel_error_retry = True

# The bridge keeps what it cannot enqueue, so it wants to know soon.
task_publish_retry_policy = {"max_retries": 1, "interval_start": 0, "interval_step": 0.1}

# JSON only: a message can never run code.
accept_content = ["json"]
task_serializer = "json"
result_serializer = "json"
event_serializer = "json"

# Nobody waits for a result, and a dead result backend would block every enqueueing.
task_ignore_result = True

# A task is acknowledged when it has ended. One that dies with its process is delivered again.
task_acks_late = True
task_reject_on_worker_lost = True
task_acks_on_failure_or_timeout = True
# One at a time: a task prefetched behind a slow one could run in another process.
worker_prefetch_multiplier = 1

# Storing waits for the network, so there are more processes than cores (docs/deployment.md says how
# many). Processes, because a hanging one can be killed, and each has a Firebase client of its own.
worker_concurrency = 8
worker_cancel_long_running_tasks_on_connection_loss = False
# A write ends long before this. What does not is a hang that nothing else would end.
task_soft_time_limit = 120
task_time_limit = 150

# For Flower.
worker_send_task_events = True
task_send_sent_event = True

task_default_queue = QUEUE
worker_hijack_root_logger = True
timezone = "UTC"
enable_utc = True
