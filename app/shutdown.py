"""Being asked to stop, and stopping where nothing is torn apart."""

import signal
import time
from types import TracebackType
from typing import Any

_TICK = 0.05


class ShutdownRequested(Exception):
    """Somebody pressed Ctrl-C, closed the terminal, or sent SIGTERM."""


class ShutdownSignals:
    """Notes a signal to stop, for whoever looks, while this context lasts."""

    def __init__(self) -> None:
        self.is_asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "ShutdownSignals":
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            before = signal.getsignal(number)
            if number != signal.SIGHUP or before != signal.SIG_IGN:  # as nohup sets it
                self._before[number] = before
                signal.signal(number, self._ask)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _ask(self, *_: object) -> None:
        self.is_asked = True

    def look(self) -> None:
        """Raise ShutdownRequested if somebody has asked."""
        if self.is_asked:
            raise ShutdownRequested

    def pause(self, seconds: float) -> None:
        """Let time pass; raise ShutdownRequested if somebody asks meanwhile."""
        until = time.monotonic() + seconds
        self.look()
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _TICK))
            self.look()
