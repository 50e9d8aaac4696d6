"""The tasks: arguments in, one call, retries. What is done is in `app.delivery.store`."""

import functools
import reprlib
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from celery import Task

from app.delivery import (
    ANY_REVISION,
    MAX_REVISION,
    Candidate,
    FailedStores,
    KeptOrders,
    LatestValueRegister,
    LatestValueStore,
    StoreResult,
    Unfinished,
)
from app.domain import PERFORMANCE, Update, to_microseconds
from app.errors import GiveUp, RejectMessage, RetryLater
from app.firebase import firebase_of_this_process, node_path, storable_slot, storable_update
from app.monitoring import FreshnessRecord, MeasuredFirebase
from app.settings import process_settings
from app.timing import Backoff, now_us
from tasks.celery_app import app

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 4.0
"""Seconds between retries. Short, so that all is current within seconds after an outage. A slot
has at most one retrying task, so even a long outage costs Firebase little."""


@app.task(bind=True, max_retries=None, throws=(GiveUp,), name="tasks.store_performance")
def store_performance(
    self: Task, symbol: str, data: Mapping[str, Any], *, revision: int | None = None
) -> str:
    """Store the performance of one symbol, or of the account as `aggregate`, unless it is old.

    Args:
        self: The task.
        symbol: A symbol such as `SOFI`.
        data: `total`, `unrealized`, `realized`, `converted` and an ISO 8601 `timestamp`; other
            fields are left out.
        revision: Decides which value is the newer: the higher one. Without it the time in `data`
            decides, and of one time the later call.

    Returns:
        A sentence for people: what was done.

    Raises:
        RetryLater: Firebase or Redis cannot be used. A worker retries; a direct call raises.
        GiveUp: An argument cannot be used, or Firebase refuses the value for good.
    """
    return _store_value(self, symbol, PERFORMANCE, data, revision)


@app.task(bind=True, max_retries=None, throws=(GiveUp,), name="tasks.store_ticker_data")
def store_ticker_data(
    self: Task, symbol: str, key: str, value: Any, *, revision: int | None = None
) -> str:
    """Store any value of one symbol, unless it is old.

    Args:
        self: The task.
        symbol: A symbol such as `SOFI`.
        key: A node of the symbol: a name, or a name and an id (`orders/4711`), which may hold any
            characters. The fields of a `price` are merged into the symbol's own node.
        value: Any JSON value but null; a `performance` as for `store_performance`.
        revision: Decides which value is the newer: the higher one. Without it the `timestamp` in
            the value decides, and without that the time of the call.

    Result and errors are those of `store_performance`.
    """
    return _store_value(self, symbol, key, value, revision)


@app.task(bind=True, max_retries=None, throws=(GiveUp,), name="tasks.store_in_bulk")
def store_in_bulk(self: Task, slots: Sequence[tuple[str, str]]) -> str:
    """Store the newest values of many slots, given as symbol and key, in one request.

    The values are those that were announced. If Firebase refuses some for good, the task fails with
    GiveUp, and the others are stored.
    """
    try:
        checked = [storable_slot(*slot) for slot in slots]
    except (RejectMessage, TypeError) as error:
        raise GiveUp(f"{self.name}: slots must be pairs of symbol and key: {error}") from None
    candidates = [Candidate(Update(*slot, None), ANY_REVISION) for slot in checked]
    return _store(self, candidates)


@functools.cache
def _register() -> LatestValueRegister:
    return LatestValueRegister(process_settings())


@functools.cache
def _failed_stores() -> FailedStores:
    return FailedStores(process_settings())


@functools.cache
def _kept_orders() -> KeptOrders | None:
    settings = process_settings()
    if settings.orders_kept is None:
        return None
    return KeptOrders(settings, _register(), firebase_of_this_process(settings))


@functools.cache
def _freshness() -> FreshnessRecord:
    return FreshnessRecord(process_settings())


def _store_value(task: Task, symbol: str, key: str, value: Any, revision: int | None) -> str:
    try:
        update = storable_update(symbol, key, value, process_settings().firebase_root)
        _check_revision(revision)
    except RejectMessage as error:
        if _runs_in_worker(task):
            # A direct caller sees the error; here nobody does.
            _failed_stores().add([(Update(symbol, key, value), str(error))])
        raise GiveUp(f"{task.name}: {error}") from None
    candidate = Candidate(update, min(revision or _time_of(update.value), MAX_REVISION))
    return _store(task, [candidate], by_time=not revision)


def _store(task: Task, candidates: Sequence[Candidate], *, by_time: bool = False) -> str:
    request = task.request
    firebase = MeasuredFirebase(firebase_of_this_process(process_settings()))
    will_retry = _runs_in_worker(task)
    pause = Backoff(FIRST_PAUSE, LONGEST_PAUSE).pause(request.retries)
    try:
        result = LatestValueStore(_register(), firebase, _failed_stores(), _kept_orders()).store(
            candidates,
            task=request.id or uuid.uuid4().hex,
            resumed=bool(request.retries or (request.delivery_info or {}).get("redelivered")),
            by_time=by_time,
            will_retry=will_retry,
            retry_pause=pause,
        )
    except RetryLater as error:
        if not will_retry:
            raise
        if isinstance(error, Unfinished):
            pause = error.pause
        raise task.retry(exc=error, countdown=pause) from None
    finally:
        _freshness().add(firebase.samples)
    if result.refused:
        (update, reason), *others = result.refused
        more = f"; and {len(others)} more: see python -m app failed-stores" if others else ""
        raise GiveUp(f"{_path(update)}: {reason}{more}")
    if result.waiting:
        raise GiveUp(
            f"{result.waiting} not stored: Firebase refuses this value, or all of its kind, and is "
            "asked again later: see python -m app failed-stores"
        )
    return _summary(result)


def _check_revision(revision: Any) -> None:
    if revision is not None and (type(revision) is not int or revision <= ANY_REVISION):
        raise RejectMessage(
            "wrong_form", f"revision must be a whole number above 0: {reprlib.repr(revision)}"
        )


def _runs_in_worker(task: Task) -> bool:
    return not task.request.called_directly and not task.request.is_eager


def _time_of(value: Any) -> int:
    """Return the revision of a value that has none: its time, or the time of the call."""
    if isinstance(value, Mapping) and isinstance(value.get("timestamp"), str):
        try:
            return max(to_microseconds(value["timestamp"]), ANY_REVISION + 1)
        except RejectMessage:
            pass
    return now_us()


def _path(update: Update) -> str:
    return f"{process_settings().firebase_root}/{node_path(update.symbol, update.key)}"


def _summary(result: StoreResult) -> str:
    parts = []
    for done, updates in (
        ("stored", [update for update in result.written if update.value != {}]),
        ("removed", [update for update in result.written if update.value == {}]),
    ):
        if len(updates) == 1:
            parts.append(f"{done} {_path(updates[0])}")
        elif updates:
            parts.append(f"{done} {len(updates)} values")
    if result.current:
        parts.append(f"{result.current} not stored: this value, or a newer one, is stored already")
    if result.held:
        parts.append(f"{result.held} left to another task that is storing there")
    return ", ".join(parts)
