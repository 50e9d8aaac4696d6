"""Dispatching changes to Celery: only each slot's newest value, and only while few tasks wait."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

import msgspec
import structlog

from app.delivery.conflating_queue import ConflatingQueue, Slot
from app.delivery.proposals import Candidate
from app.delivery.register import LatestValueRegister
from app.delivery.store import MAX_REQUEST_BYTES
from app.domain import ORDERS, PERFORMANCE, Update
from app.errors import RetryLater
from app.timing import Backoff, Timer

log = structlog.stdlib.get_logger(__name__)

MAX_SINGLE_TASKS = 8
"""Up to this many changed slots become one task each. More become one bulk task."""

BULK_SIZE = 500
"""The most slots in one bulk task."""

ORDER_BYTES = 1024 * 1024
"""How much is announced of orders before it is the turn of figures again."""

MAX_TASKS_WAITING = 4
"""While this many tasks wait for a worker, changes wait here and are conflated. More may be
enqueued at the end of a burst: one for each BULK_SIZE slots."""

REST, REST_WHILE_BEHIND = 1, 19
"""For how many times the duration of a dispatch the next one waits while changes keep coming.
So dispatching takes at most half of the time from machine and Redis, and a twentieth while reports
wait to be counted. They come first, and the longer changes wait, the more are conflated."""

_LONGEST_REST = 1.0
_POLL_SECONDS = 0.02
_OVERDUE_CHECK_SECONDS = 2.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
_NOTHING: Mapping[Any, Any] = MappingProxyType({})


class TaskQueue(Protocol):
    """What is needed of Celery here; implemented in `tasks.queue`."""

    def waiting(self) -> int:
        """Return how many tasks no worker has taken yet. Raises RetryLater."""

    def store(self, candidates: Sequence[Candidate]) -> None:
        """Enqueue one task for each candidate. Raises RetryLater; some may be enqueued then."""

    def store_in_bulk(self, candidates: Sequence[Candidate]) -> None:
        """Enqueue one task for all candidates. Raises RetryLater; it may be enqueued then."""


class Dispatcher:
    """A conflating queue of changed slots, and a thread that makes tasks of them.

    A value is announced in the register before it becomes a task. If that task is lost, the slot
    becomes overdue there and is dispatched again. What a slow broker or a slow Firebase holds up
    is bounded by the number of slots, and never holds up the caller of `put`.

    Orders do not conflate, and may be many and large. They are announced as they come, and then
    wait in the register: only one task with orders is on its way at a time.

    Args:
        queue: Where tasks are enqueued.
        register: Where values are announced.
        stores: Says whether a symbol is stored; values of others are dropped. None: all are.
        stores_orders: Whether orders are stored; else they are dropped.
    """

    def __init__(
        self,
        queue: TaskQueue,
        register: LatestValueRegister,
        stores: Callable[[str], bool] | None = None,
        *,
        stores_orders: bool = True,
    ) -> None:
        self._stores_orders = stores_orders
        self._queue = queue
        self._register = register
        self._stores = stores
        self._changed = ConflatingQueue()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._overdue_check = Timer(_OVERDUE_CHECK_SECONDS)
        self._is_behind = self._came_in = False
        self._orders_taken: list[Candidate] = []
        self._thread = threading.Thread(target=self._run, name="dispatcher", daemon=True)
        self.tasks_waiting = 0
        """How many tasks no worker had taken at the last check."""
        self.orders_open = 0
        """How many orders are announced and not stored."""
        self.stalled = ""
        """Why nothing can be dispatched at the moment; empty: it can."""

    @property
    def slots_waiting(self) -> int:
        """How many slots have a value that is not dispatched yet."""
        return len(self._changed)

    def start(self) -> None:
        self._thread.start()

    def put(
        self,
        values: Mapping[Slot, str | bytes] = _NOTHING,
        figures: Mapping[str, bytes] = _NOTHING,
        *,
        is_behind: bool = False,
    ) -> None:
        """Put in new values, as into a ConflatingQueue.

        Args:
            values: JSON text by slot; most are replaced before anybody parses them.
            figures: Performances as JSON text, by symbol.
            is_behind: Whether the caller has more to do than it can, and needs the machine.
        """
        self._is_behind = is_behind
        if self._stores is not None:
            values = {slot: value for slot, value in values.items() if self._stores(slot[0])}
            figures = {symbol: value for symbol, value in figures.items() if self._stores(symbol)}
        if not self._stores_orders:
            values = {
                slot: value for slot, value in values.items() if not slot[1].startswith(ORDERS)
            }
        if values or figures:
            self._changed.put(values, figures)
            self._came_in = True
            self._wake.set()

    def close(self, timeout: float) -> int:
        """Dispatch what is possible within `timeout` seconds, and stop.

        Returns:
            How many slots are left.
        """
        self._closing.set()
        self._wake.set()
        self._thread.join(timeout)
        return len(self._changed)

    def _run(self) -> None:
        backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        while True:
            try:
                # The workers first: no change waits then while Redis is asked about them. The
                # answer stays true meanwhile, since nobody else enqueues much.
                if not (self._wait_for_workers() and self._wait_for_changes()):
                    return
                began = time.monotonic()
                self._dispatch()
                is_check_due = self._overdue_check.is_due()
                if is_check_due:
                    self._redispatch_overdue()
                self._dispatch_orders(is_check_due)
                self._rest(time.monotonic() - began)
            except RetryLater as error:
                self.stalled = str(error)
                log.warning("dispatch_stalled", slots=len(self._changed), reason=error)
            except Exception as error:
                # A bug: it must neither end this thread nor go unnoticed.
                self.stalled = f"a bug, see the log: {error!r}"
                log.exception("dispatch_failed", slots=len(self._changed))
            else:
                self.stalled = ""
                backoff.reset()
                continue
            if self._closing.wait(backoff.next_pause()):
                return

    def _wait_for_workers(self) -> bool:
        """Wait until few tasks are waiting. Return False if closed before."""
        while True:
            self.tasks_waiting = self._queue.waiting()
            if self.tasks_waiting < MAX_TASKS_WAITING:
                return True
            if self._closing.wait(_POLL_SECONDS):
                return False

    def _wait_for_changes(self) -> bool:
        """Wait until there are changes, or overdue slots are to be checked. False if closed."""
        if not self._changed and not self._closing.is_set():
            self._wake.wait(_POLL_SECONDS if self.orders_open else _OVERDUE_CHECK_SECONDS)
        self._wake.clear()
        return bool(self._changed) or not self._closing.is_set()

    def _dispatch(self) -> None:
        """Announce the slots that have waited longest, except orders, then enqueue their tasks.

        Unless changes keep coming in, all of them are announced first. What is announced will be
        stored, whichever process dies, and Redis is quicker at it before the workers begin.
        """
        self._came_in = False
        taken: dict[Slot, str | bytes] = {}
        announced: list[tuple[list[Candidate], bool]] = []
        try:
            while not (announced and self._is_busy()) and (slots := self._changed.take(BULK_SIZE)):
                taken |= slots
                in_bulk = len(slots) > MAX_SINGLE_TASKS
                announced.append((self._register.announce(_updates(slots, in_bulk)), in_bulk))
            for candidates, in_bulk in announced:
                self._enqueue(candidates, in_bulk)
        except BaseException:
            self._changed.put_back(taken)
            raise

    def _redispatch_overdue(self) -> None:
        """Enqueue tasks for slots whose own task was lost, or died."""
        candidates = self._register.overdue(BULK_SIZE)
        if candidates:
            log.info("redispatched", slots=len(candidates))
            self._enqueue(candidates, in_bulk=len(candidates) > MAX_SINGLE_TASKS)

    def _dispatch_orders(self, is_check_due: bool) -> None:
        """Announce orders, and enqueue a task for the oldest unless one is on its way."""
        orders = self._changed.take_orders(BULK_SIZE, ORDER_BYTES)
        if orders:
            try:
                self._register.announce(_updates(orders, in_bulk=True))
            except BaseException:
                self._changed.put_back(orders)
                raise
        if not (orders or self.orders_open or is_check_due):
            return
        if not self._orders_taken:
            self._orders_taken, self.orders_open = self._register.take_orders(
                BULK_SIZE, MAX_REQUEST_BYTES
            )
        # If it cannot be enqueued, it is the first to be enqueued then.
        self._enqueue(self._orders_taken, in_bulk=len(self._orders_taken) > 1)
        self._orders_taken = []

    def _enqueue(self, candidates: Sequence[Candidate], in_bulk: bool) -> None:
        if in_bulk and candidates:
            self._queue.store_in_bulk(candidates)
        else:
            self._queue.store(candidates)

    def _rest(self, took: float) -> None:
        """Leave machine and Redis to others, in proportion to the `took` seconds of a dispatch."""
        began = time.monotonic()
        while self._is_busy():
            rest = took * (REST_WHILE_BEHIND if self._is_behind else REST)
            left = began + min(rest, _LONGEST_REST) - time.monotonic()
            if left <= 0 or self._closing.wait(min(left, _POLL_SECONDS)):
                return

    def _is_busy(self) -> bool:
        """Whether changes have come in since the last dispatch began, or the caller is behind."""
        return self._came_in or self._is_behind


def _updates(slots: Mapping[Slot, str | bytes], in_bulk: bool) -> list[Update]:
    """Return the values to announce, unparsed where that is enough: a bulk task carries none."""
    return [
        Update(
            symbol,
            key,
            msgspec.Raw(value)
            if in_bulk and (key == PERFORMANCE or key.startswith(ORDERS))
            else msgspec.json.decode(value),
        )
        for (symbol, key), value in slots.items()
    ]
