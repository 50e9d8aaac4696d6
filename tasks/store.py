"""The tasks: arguments in, one call, retries. What is done is in `app.delivery.store`."""

import functools
import random
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from celery import Task

from app.delivery import (
    ANY,
    HIGHEST,
    Candidate,
    LatestValueRegister,
    Stored,
    Unfinished,
    store_newest,
)
from app.domain import (
    PERFORMANCE,
    Update,
    performance_value,
    stored_symbol,
    to_microseconds,
)
from app.errors import GiveUp, RejectMessage, RetryLater
from app.firebase import firebase_of_this_process, node_path
from app.monitoring import FreshnessRecord, MeasuredFirebase
from app.settings import process_settings
from tasks.celery_app import app

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 4.0
"""Seconds. Short, so that all is current within seconds after an outage; a slot has one retrying
task at the most, so that even a long outage costs Firebase little."""


@app.task(bind=True, max_retries=None, throws=(GiveUp,), name="tasks.store_performance")
def store_performance(
    self: Task, symbol: str, data: Mapping[str, Any], *, revision: int | None = None
) -> str:
    """Store the performance of one symbol, or of the account as `aggregate`, unless it is old.

    Args:
        self: the task.
        symbol: such as `SOFI`.
        data: `total`, `unrealized`, `realized`, `converted` and an ISO 8601 `timestamp`; other
            fields are left out.
        revision: the higher one is the newer value; unless given, the time in `data` decides, and
            of the same time the last call.

    Returns:
        What was done, for people.

    Raises:
        RetryLater: called directly, and Firebase or Redis cannot be reached. A worker retries.
        GiveUp: the data is no performance, or Firebase refuses it for good.
    """
    return _store_value(self, symbol, PERFORMANCE, data, revision)


@app.task(bind=True, max_retries=None, throws=(GiveUp,), name="tasks.store_ticker_data")
def store_ticker_data(
    self: Task, symbol: str, key: str, value: Any, *, revision: int | None = None
) -> str:
    """Store any value of one symbol, unless it is old.

    Args:
        self: the task.
        symbol: such as `SOFI`.
        key: the node of the symbol: a name, or a name and an id (`orders/4711`). The fields of a
            `price` are merged into the symbol's own node.
        value: any JSON value; a `performance` as for `store_performance`.
        revision: the higher one is the newer value; unless given, the `timestamp` in the value
            decides, and without one the time of the call.

    Returns:
        What was done, for people.

    Raises:
        RetryLater: called directly, and Firebase or Redis cannot be reached. A worker retries.
        GiveUp: it is no symbol or no performance, or Firebase refuses the value for good.
    """
    return _store_value(self, symbol, key, value, revision)


@app.task(bind=True, max_retries=None, throws=(GiveUp,), name="tasks.store_in_bulk")
def store_in_bulk(self: Task, slots: Sequence[tuple[str, str]]) -> str:
    """Store what is newest in many slots, in one request.

    Args:
        self: the task.
        slots: symbol and key of values that were announced.

    Returns:
        What was done, for people.

    Raises:
        RetryLater: as `store_ticker_data`.
        GiveUp: Firebase refuses some values for good; the others are stored.
    """
    return _store(self, [Candidate(Update(symbol, key, None), ANY) for symbol, key in slots])


def pause_before(retry: int) -> float:
    """Seconds before a retry (0 is the first): growing, and different for every task."""
    return float(min(FIRST_PAUSE * 2 ** min(retry, 10), LONGEST_PAUSE) * random.uniform(0.5, 1))  # noqa: S311


@functools.cache
def _register() -> LatestValueRegister:
    return LatestValueRegister(process_settings().redis_url)


@functools.cache
def _freshness() -> FreshnessRecord:
    return FreshnessRecord(process_settings().redis_url)


def _store_value(task: Task, text: str, key: str, value: Any, revision: int | None) -> str:
    try:
        symbol = stored_symbol(text)
        if key == PERFORMANCE:
            value = performance_value(value)
    except RejectMessage as error:
        raise _given_up(task, Update(text, key, value), error) from None
    known = min(revision or _time_of(value), HIGHEST)
    candidate = Candidate(Update(symbol, key, value), known)
    return _store(task, [candidate], by_time=not revision)


def _store(task: Task, candidates: Sequence[Candidate], *, by_time: bool = False) -> str:
    request = task.request
    runs_in_worker = _runs_in_worker(task)
    settings = process_settings()
    firebase = MeasuredFirebase(firebase_of_this_process(settings))
    try:
        stored = store_newest(
            candidates,
            register=_register(),
            firebase=firebase,
            task=request.id or uuid.uuid4().hex,
            resumed=bool(request.retries or (request.delivery_info or {}).get("redelivered")),
            by_time=by_time,
            pause=functools.partial(pause_before, request.retries) if runs_in_worker else None,
        )
    except RetryLater as error:
        if not runs_in_worker:
            raise
        pause = error.pause if isinstance(error, Unfinished) else pause_before(request.retries)
        raise task.retry(exc=error, countdown=pause) from None
    finally:
        _freshness().note(firebase.samples)
    if stored.refused:
        raise GiveUp("; ".join(f"{_path(update)}: {error}" for update, error in stored.refused))
    return _said(stored)


def _runs_in_worker(task: Task) -> bool:
    return not task.request.called_directly and not task.request.is_eager


def _given_up(task: Task, update: Update, reason: RejectMessage) -> GiveUp:
    """The error for a value that can never be stored; kept if nobody is there to see it."""
    if _runs_in_worker(task):
        _register().keep_failed(update, str(reason), datetime.now(UTC).isoformat())
    return GiveUp(f"{task.name}: {reason}")


def _time_of(value: Any) -> int:
    """The revision of a value that came without one, on the scale that all revisions have."""
    if isinstance(value, Mapping) and isinstance(value.get("timestamp"), str):
        try:
            return max(to_microseconds(value["timestamp"]), ANY + 1)
        except RejectMessage:
            pass
    return time.time_ns() // 1000


def _path(update: Update) -> str:
    return f"{process_settings().firebase_root}/{node_path(update.symbol, update.key)}"


def _said(stored: Stored) -> str:
    parts = []
    if len(stored.written) == 1:
        parts.append(f"stored {_path(stored.written[0])}")
    elif stored.written:
        parts.append(f"stored {len(stored.written)} values")
    if stored.current:
        parts.append(f"{stored.current} already stored, or older than what is")
    if stored.held:
        parts.append(f"{stored.held} left to the task that is storing there")
    return ", ".join(parts)
