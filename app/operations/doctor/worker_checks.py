"""The workers, and what waits for them."""

from typing import Any

from celery import Celery

from app.delivery import FailedStores
from app.operations.doctor.findings import FAIL, OK, WARN, Deployment, Finding
from app.urls import tls_of, without_tls_options

TASKS = {"tasks.store_performance", "tasks.store_ticker_data", "tasks.store_in_bulk"}
"""What a worker must know."""

_ANSWER_WITHIN, _BUSY_ANSWER_WITHIN = 1.5, 4.0
"""Seconds. Celery waits them out, since it does not know how many will answer."""

_MANY_WAIT = 100


def queue(deployment: Deployment) -> Finding:
    """How many tasks no worker has taken."""
    name = _celery(deployment).conf.task_default_queue
    waiting = deployment.broker.llen(name)
    if waiting > _MANY_WAIT:
        return Finding(
            WARN,
            f"{waiting} tasks wait in {name}",
            "start more workers, or see in Flower what they wait for",
        )
    return Finding(OK, f"{waiting} tasks wait in {name}")


def worker(deployment: Deployment) -> Finding:
    """Whether a worker takes from our queue, and knows our tasks."""
    app = _celery(deployment)
    ours = app.conf.task_default_queue
    taking: dict[str, Any] = {}
    for within in (_ANSWER_WITHIN, _BUSY_ANSWER_WITHIN):
        taking = taking or app.control.inspect(timeout=within).active_queues() or {}
    if not taking:
        return Finding(FAIL, "none answers", "start one: celery -A tasks worker")
    names = {name: {queue["name"] for queue in queues} for name, queues in taking.items()}
    right = [name for name, queues in names.items() if ours in queues]
    if not right:
        others = "; ".join(f"{name} takes from {', '.join(q)}" for name, q in names.items())
        fix = f"start one without --queues: celery -A tasks worker takes from {ours}"
        return Finding(FAIL, others, fix)
    known = app.control.inspect(right, timeout=_BUSY_ANSWER_WITHIN).registered() or {}
    for name in right:
        missing = TASKS - {task.partition(" ")[0] for task in known.get(name, ())}
        if missing:
            return Finding(
                FAIL,
                f"{name} does not know {', '.join(sorted(missing))}",
                "start it again from this version: celery -A tasks worker",
            )
    return Finding(OK, f"{', '.join(sorted(right))} on {ours}")


def failed_stores(deployment: Deployment) -> Finding:
    """How much Firebase has refused for good."""
    count = len(FailedStores(deployment.settings.redis_url).read())
    if count:
        return Finding(WARN, f"{count} values were refused", "see python -m app failed-stores")
    return Finding(OK, "none")


def _celery(deployment: Deployment) -> Any:
    """The Celery app as the workers have it, without their tasks."""
    url = deployment.settings.celery_broker_url
    app = Celery("doctor", set_as_current=False)
    app.config_from_object("celeryconfig")
    app.conf.update(broker_url=without_tls_options(url), broker_use_ssl=tls_of(url))
    return app
