"""Delivery: the queue of tasks, the workers, and Firebase."""

import time
from typing import Any

from celery import Celery

from app.channels import AGGREGATE
from app.delivery import FailedStores, RejectedUpdates
from app.domain import PERFORMANCE
from app.errors import Denied, Misconfigured, ProfitBridgeError, RetryLater, StopProgram
from app.firebase import (
    HEALTH_CHECK_PATH,
    DatabaseNotFound,
    FirebaseClient,
    NotADatabase,
    anybody_may_read,
    node_path,
)
from app.operations.doctor.findings import (
    FAIL,
    OK,
    SKIPPED,
    WARN,
    Deployment,
    Finding,
    one_line,
)
from app.settings import Settings
from app.urls import masked, tls_of, without_tls_options

TASKS = {"tasks.store_performance", "tasks.store_ticker_data", "tasks.store_in_bulk"}
"""The tasks that a worker must know."""

START = "start one: celery -A tasks worker"

# Celery waits these seconds out, since it cannot know how many workers will answer.
_ANSWER_TIMEOUT, _BUSY_ANSWER_TIMEOUT = 1.5, 4.0
_LONG_QUEUE = 100
_NO_DATABASE = Finding(
    SKIPPED,
    "FIREBASE_DATABASE_URL is not set here",
    "only workers need it: run doctor on the machine of a worker",
)


def queue(deployment: Deployment) -> Finding:
    """Check that the workers keep up with the queue."""
    name = deployment.settings.names.queue
    length = deployment.broker.llen(name)
    found = f"{length} tasks wait in {name}"
    if length > _LONG_QUEUE:
        fix = "start more workers, or find out in Flower what they are waiting for"
        return Finding(WARN, found, fix)
    return Finding(OK, found)


def worker(deployment: Deployment) -> Finding:
    """Check that a worker consumes our queue, and knows our tasks."""
    app = _celery(deployment)
    ours = app.conf.task_default_queue
    answers: dict[str, Any] = {}
    for timeout in (_ANSWER_TIMEOUT, _BUSY_ANSWER_TIMEOUT):
        answers = answers or app.control.inspect(timeout=timeout).active_queues() or {}
    if not answers:
        return Finding(FAIL, "no worker answers", START)
    names = {name: {queue["name"] for queue in queues} for name, queues in answers.items()}
    right = [name for name, queues in names.items() if ours in queues]
    if not right:
        others = "; ".join(f"{name} consumes {', '.join(q)}" for name, q in names.items())
        fix = f"start one without --queues, so that it consumes {ours}: celery -A tasks worker"
        return Finding(FAIL, others, fix)
    registered = app.control.inspect(right, timeout=_BUSY_ANSWER_TIMEOUT).registered() or {}
    for name in right:
        missing = TASKS - {task.partition(" ")[0] for task in registered.get(name, ())}
        if missing:
            fix = "restart it with this version: celery -A tasks worker"
            return Finding(FAIL, f"{name} does not know {', '.join(sorted(missing))}", fix)
    return Finding(OK, f"{', '.join(sorted(right))} on {ours}")


def firebase(deployment: Deployment) -> Finding:
    """Check that the database accepts a value with these credentials, under its rules."""
    settings = deployment.settings
    if not _names_database(settings):
        return _NO_DATABASE
    began = time.monotonic()
    try:
        client = FirebaseClient(settings)
    except StopProgram as error:
        variable = str(error).split()[0].rstrip(":")
        return Finding(FAIL, str(error), f"correct {variable}")
    try:
        is_healthy = client.health_check()
    except (RetryLater, Misconfigured) as error:
        return Finding(FAIL, one_line(error), _firebase_fix(error, settings))
    finally:
        client.close()
    url = masked(settings.database_url)
    if not is_healthy:
        fix = "check that the URL is that of a Realtime Database"
        return Finding(FAIL, f"{url} does not return the value that was written", fix)
    milliseconds = 1000 * (time.monotonic() - began)
    return Finding(OK, f"{url}: wrote, read and deleted a value in {milliseconds:.0f} ms")


def front_end(deployment: Deployment) -> Finding:
    """Find out what the rules let a front end read that signs nobody in. Either may be intended."""
    settings = deployment.settings
    root = settings.firebase_root
    if not _names_database(settings):
        return _NO_DATABASE
    try:
        if anybody_may_read(settings):
            return Finding(OK, f"anybody can read {root}: a front end needs no sign-in")
        if anybody_may_read(settings, node_path(AGGREGATE, PERFORMANCE)):
            found = f"without sign-in a single ticker can be read, but not {root} as a whole"
            return Finding(OK, found)
    except RetryLater as error:
        return Finding(SKIPPED, f"not known: {one_line(error)}")
    found = f"{root} cannot be read without sign-in: a front end that signs nobody in sees nothing"
    return Finding(OK, found)


def failed_stores(deployment: Deployment) -> Finding:
    """Check that Firebase has rejected nothing for good."""
    count = len(FailedStores(deployment.settings).read())
    if count:
        return Finding(WARN, f"Firebase refuses {count} values", "see python -m app failed-stores")
    return Finding(OK, "none")


def _names_database(settings: Settings) -> bool:
    return bool(settings.firebase_database_url or settings.firebase_database_emulator_host)


def rejected_updates(deployment: Deployment) -> Finding:
    """Check that no price and no order was rejected."""
    rejected = RejectedUpdates(deployment.settings).read()
    if rejected:
        found = f"{len(rejected)} prices and orders were not stored, the last: "
        fix = "see python -m app rejected-updates"
        return Finding(WARN, found + rejected[0]["reason"], fix)
    return Finding(OK, "none")


def _celery(deployment: Deployment) -> Any:
    """Return a Celery app that is configured like that of the workers."""
    url = deployment.settings.celery_broker_url
    app = Celery("doctor", set_as_current=False)
    app.config_from_object("celeryconfig")
    app.conf.update(
        broker_url=without_tls_options(url),
        broker_use_ssl=tls_of(url),
        broker_transport_options=app.conf.broker_transport_options
        | {"global_keyprefix": deployment.settings.names.prefix},
    )
    return app


def _firebase_fix(error: ProfitBridgeError, settings: Settings) -> str:
    variable = "FIREBASE_DATABASE_URL"
    if settings.firebase_database_emulator_host:
        variable = "FIREBASE_DATABASE_EMULATOR_HOST"
    if isinstance(error, NotADatabase):
        return f"correct {variable}, or let whatever answers in its place pass requests to it"
    if isinstance(error, RetryLater):
        return f"if this persists, correct {variable}, or let this machine reach that address"
    if isinstance(error, DatabaseNotFound):
        return f"correct {variable}"
    if not isinstance(error, Denied):
        return "correct GOOGLE_APPLICATION_CREDENTIALS, or this machine's clock"
    return (
        "give the service account the right to write, and the database "
        f"a rule that allows writing to {HEALTH_CHECK_PATH}: see Database rules in "
        "docs/deployment.md"
    )
