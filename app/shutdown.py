"""Graceful shutdown: the only place where this program handles signals."""

import signal
import time
from types import FrameType, TracebackType
from typing import Any

_TICK = 0.05
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class ShutdownRequested(Exception):
    """Someone pressed Ctrl-C, closed the terminal, or sent SIGTERM."""


class ShutdownSignals:
    """Remember a request to shut down instead of dying of it, while this context lasts.

    Polled, because a `threading.Event` that a signal handler sets can deadlock on its own lock.

    Args:
        grace: Seconds after a request in which work may still be finished.
    """

    def __init__(self, grace: float = 0.0) -> None:
        self._grace = grace
        self._requested_at: float | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "ShutdownSignals":
        for number in _SIGNALS:
            previous = signal.getsignal(number)
            if number != signal.SIGHUP or previous != signal.SIG_IGN:  # nohup ignores it
                self._previous[number] = previous
                signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, previous in self._previous.items():
            signal.signal(number, previous)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self.request()

    def request(self) -> None:
        """Request the shutdown, as a signal does."""
        if self._requested_at is None:
            self._requested_at = time.monotonic()

    @property
    def is_requested(self) -> bool:
        return self._requested_at is not None

    @property
    def is_overdue(self) -> bool:
        """Whether a shutdown was requested, and the time to finish work is over."""
        return (
            self._requested_at is not None and time.monotonic() - self._requested_at > self._grace
        )

    def wait(self, seconds: float) -> bool:
        """Wait, but not beyond a request to shut down; return whether there is one."""
        until = time.monotonic() + seconds
        while not self.is_requested and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _TICK))
        return self.is_requested

    def check(self) -> None:
        """Raise ShutdownRequested if a shutdown was requested."""
        if self.is_requested:
            raise ShutdownRequested

    def sleep(self, seconds: float) -> None:
        """Sleep; raise ShutdownRequested as soon as a shutdown is requested."""
        if self.wait(seconds):
            raise ShutdownRequested
