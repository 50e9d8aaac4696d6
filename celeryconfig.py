"""Every Celery setting, with its reason. Read by the worker, Flower and whoever enqueues."""

from app.settings import process_settings
from app.urls import tls_of, without_tls_options

_given = process_settings().celery_broker_url
broker_url = without_tls_options(_given)
# For rediss://. Celery alone would verify nothing then, and Flower not even start.
broker_use_ssl = tls_of(_given)

# Without timeouts a half-open connection hangs worker and publisher for good.
broker_transport_options = {
    "socket_timeout": 5,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    # A dead connection is noticed within this and the timeout.
    "health_check_interval": 5,
    # A task of a worker that is gone is given out again after this. Minutes, because the largest
    # retry pause is seconds: a pause beyond it would be given out twice.
    "visibility_timeout": 300,
}
broker_connection_timeout = 5

# A worker outlives any outage of Redis.
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
# Also one that is full: what Redis answers then is an error of the channel, and would end a worker.
broker_channel_error_retry = True

# An enqueuer is the bridge, which has somewhere to keep what it cannot enqueue: fail soon.
task_publish_retry_policy = {"max_retries": 1, "interval_start": 0, "interval_step": 0.1}

# JSON only: a message can never run code.
accept_content = ["json"]
task_serializer = "json"
result_serializer = "json"
event_serializer = "json"

# Nobody waits for a result, and a dead result backend would hold up every enqueueing.
task_ignore_result = True

# A task is done when it is done: one that dies with its process is given out again.
task_acks_late = True
task_reject_on_worker_lost = True
task_acks_on_failure_or_timeout = True
# One at a time: a task that waits behind a slow one could have been run by another process.
worker_prefetch_multiplier = 1

# Storing waits for the network, so there are more processes than processors: see the README for
# how many. Processes, because a hang in one can be ended, and each has its own Firebase client.
worker_concurrency = 8
worker_cancel_long_running_tasks_on_connection_loss = False
# A write ends long before this; what does not is a hang that nothing else would end.
task_soft_time_limit = 120
task_time_limit = 150

# For Flower.
worker_send_task_events = True
task_send_sent_event = True

task_default_queue = "profit-bridge"
worker_hijack_root_logger = True
timezone = "UTC"
enable_utc = True
