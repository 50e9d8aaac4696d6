"""Handing changes over to Celery: newest value per slot, and only while few tasks are waiting."""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

import msgspec

from app.delivery.conflating_queue import ConflatingQueue, Slot
from app.delivery.register import Candidate, LatestValueRegister
from app.domain import PERFORMANCE, Update

log = logging.getLogger(__name__)

_decode = msgspec.json.decode

FEW = 8
"""Up to so many changed slots become a task each; more become one bulk task."""

BULK = 500
"""Slots in one bulk task at the most."""

MOST_WAITING = 4
"""Tasks that may wait for a worker before changes are held back, and folded, here. More may be
enqueued when a burst is over: one for each BULK slots."""

REST, REST_WHILE_BEHIND = 1, 19
"""How many times as long as it took the hand-over rests, unless nothing came in meanwhile. So it
takes half of the time at the most from machine and Redis, and a twentieth while reports wait to be
counted: they come first, and the longer changes wait, the more of them fold into one."""

_LONGEST_REST = 1.0
_LOOK_AGAIN = 0.02
_LOOK_FOR_OVERDUE = 2.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
_NOTHING: Mapping[Any, Any] = MappingProxyType({})


class TaskQueue(Protocol):
    """What is needed of Celery here; implemented in `tasks.queue`."""

    def waiting(self) -> int:
        """How many tasks no worker has taken yet. Raises RetryLater."""

    def store(self, candidates: Sequence[Candidate]) -> None:
        """Enqueue one task for each candidate. Raises RetryLater: perhaps some are enqueued."""

    def store_in_bulk(self, candidates: Sequence[Candidate]) -> None:
        """Enqueue one task for the newest in all these slots. Raises RetryLater: perhaps it is."""


class Dispatcher:
    """A map of slots whose newest value is not handed over yet, and a thread that hands over.

    A value is announced in the register before it becomes a task, so it is stored even if that task
    is lost: what stays open there is handed over again. What a slow broker or a slow Firebase holds
    up is bounded by the number of slots, and never holds up the caller of `put`.

    Args:
        queue: where tasks go.
        register: where values are announced.
        tickers: the symbols that are stored; what is put for others is left. None: all are.
    """

    def __init__(
        self, queue: TaskQueue, register: LatestValueRegister, tickers: frozenset[str] | None = None
    ) -> None:
        self._queue = queue
        self._register = register
        self._tickers = tickers
        self._changed = ConflatingQueue()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._overdue_at = 0.0
        self._is_behind = self._came_in = False
        self._thread = threading.Thread(target=self._run, name="dispatcher", daemon=True)
        self.tasks_waiting = 0
        """Tasks that no worker had taken when it last looked."""
        self.stalled = ""
        """Why nothing can be handed over at the moment; empty: it can."""

    @property
    def slots_waiting(self) -> int:
        """How many slots have a value that is not handed over yet."""
        return len(self._changed)

    def start(self) -> None:
        """Begin to hand over."""
        self._thread.start()

    def put(
        self,
        values: Mapping[Slot, str | bytes] = _NOTHING,
        figures: Mapping[str, bytes] = _NOTHING,
        *,
        is_behind: bool = False,
    ) -> None:
        """Take in new values; one that is still here gives way, and keeps its place in line.

        Args:
            values: as JSON text: most are replaced before anybody reads them.
            figures: performances by symbol, the same.
            is_behind: the caller has more to do than it can, and needs the machine.
        """
        self._is_behind = is_behind
        if self._tickers is not None:
            values = {slot: value for slot, value in values.items() if slot[0] in self._tickers}
            figures = {
                symbol: value for symbol, value in figures.items() if symbol in self._tickers
            }
        if values or figures:
            self._changed.put(values, figures)
            self._came_in = True
            self._wake.set()

    def close(self, timeout: float) -> int:
        """Hand over what can be within `timeout` seconds, and stop; how many slots are left."""
        give_up_at = time.monotonic() + timeout
        self._closing.set()
        self._wake.set()
        self._thread.join(max(0.0, give_up_at - time.monotonic()))
        return len(self._changed)

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        may_dispatch = True
        while True:
            if not self._changed:
                if self._closing.is_set():
                    return
                self._wake.wait(_LOOK_FOR_OVERDUE)
            self._wake.clear()
            try:
                if may_dispatch:
                    began = time.monotonic()
                    self._came_in = False
                    self._dispatch()
                    self._redispatch_overdue()
                    if self._came_in or self._is_behind:
                        self._rest(time.monotonic() - began)
                elif self._closing.wait(_LOOK_AGAIN):
                    return
                # Asked when nothing waits for the answer, which stays true: only we enqueue much.
                self.tasks_waiting = self._queue.waiting()
                may_dispatch = self.tasks_waiting < MOST_WAITING
                pause, self.stalled = _FIRST_PAUSE, ""
            except Exception as error:
                self.stalled = str(error)
                log.warning("dispatch_stalled slots=%d reason=%s", len(self._changed), error)
                if self._closing.wait(pause):
                    return
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _rest(self, took: float) -> None:
        """Leave machine and Redis to others, for as long as `took` seconds are worth."""
        began = time.monotonic()
        while True:
            rest = took * (REST_WHILE_BEHIND if self._is_behind else REST)
            left = began + min(rest, _LONGEST_REST) - time.monotonic()
            if left <= 0 or self._closing.wait(min(left, _LOOK_AGAIN)):
                return

    def _dispatch(self) -> None:
        """Announce the slots that have waited longest, then enqueue them.

        All there are, where nothing comes in meanwhile. What is announced is stored, whoever dies;
        and Redis is quicker at it before workers are at theirs.
        """
        taken: dict[Slot, str | bytes] = {}
        announced: list[tuple[list[Candidate], bool]] = []
        try:
            while self._changed and not (announced and (self._came_in or self._is_behind)):
                bulk = self._changed.take(BULK)
                taken |= bulk
                in_bulk = len(bulk) > FEW
                announced.append((self._register.announce(_updates(bulk, in_bulk)), in_bulk))
            for candidates, in_bulk in announced:
                self._enqueue(candidates, in_bulk)
        except BaseException:
            self._changed.put_back(taken)
            raise

    def _redispatch_overdue(self) -> None:
        """Enqueue what somebody was to store and nobody did: its task was lost, or died."""
        now = time.monotonic()
        if now >= self._overdue_at:
            self._overdue_at = now + _LOOK_FOR_OVERDUE
            candidates = self._register.overdue(BULK)
            if candidates:
                log.info("redispatched slots=%d", len(candidates))
                self._enqueue(candidates, in_bulk=len(candidates) > FEW)

    def _enqueue(self, candidates: Sequence[Candidate], in_bulk: bool) -> None:
        if in_bulk and candidates:
            self._queue.store_in_bulk(candidates)
        else:
            self._queue.store(candidates)


def _updates(taken: Mapping[Slot, str | bytes], in_bulk: bool) -> list[Update]:
    """The values to announce. A bulk task carries none, so most of them need not be read."""
    return [
        Update(
            symbol, key, msgspec.Raw(value) if in_bulk and key == PERFORMANCE else _decode(value)
        )
        for (symbol, key), value in taken.items()
    ]
