"""Whether a service is alive and can do its work: told by its main loop, asked by others."""

import tempfile
import time
from pathlib import Path

from app.accounting import FILE_NAME
from app.delivery import Dispatcher
from app.messaging import Subscription
from app.monitoring.metrics import (
    LEDGER_SIZE,
    READY,
    RECONNECTS,
    SLOTS_WAITING,
    SUBSCRIBED,
    TASKS_WAITING,
    Metric,
)

LONGEST_TURN = 15.0
"""Seconds; a main loop that took no turn for longer hangs. Whatever it does has a time limit."""

_ROOM_NEEDED = 64 * 1024


class Health:
    """The state of one service. Nothing here waits for its main loop, or holds it up.

    Args:
        subscription: where it listens.
        dispatcher: where it hands over.
        folder: of its ledger, where it has one.
    """

    def __init__(
        self, subscription: Subscription, dispatcher: Dispatcher, folder: Path | None = None
    ) -> None:
        self._subscription = subscription
        self._dispatcher = dispatcher
        self._folder = folder
        self._last_heartbeat = time.monotonic()
        self._waits_for = ""

    def heartbeat(self, waits_for: str = "") -> None:
        """The main loop goes on; if only to try the same again, with what it `waits_for`."""
        self._last_heartbeat = time.monotonic()
        self._waits_for = waits_for

    def hangs(self) -> list[str]:
        """Why the service should be ended and started again; empty: it is alive."""
        silent = time.monotonic() - self._last_heartbeat
        if silent > LONGEST_TURN:
            return [f"main loop: no turn for {silent:.0f} s"]
        return []

    def troubles(self) -> list[str]:
        """Why the service cannot do its work, or not all of it; empty: it can."""
        found = self.hangs()
        if found:
            # A disk that holds up the main loop would hold up who looks at it, too.
            return found
        if not self._subscription.is_subscribed:
            found.append("redis: not subscribed")
        if self._waits_for:
            found.append(self._waits_for)
        elif self._folder is not None:
            found += _not_writable(self._folder)
        if self._dispatcher.stalled:
            found.append(f"hand-over: {self._dispatcher.stalled}")
        return found

    def figures(self) -> dict[Metric, float]:
        """The metrics that say how things are now."""
        found = {
            READY: float(not self.troubles()),
            SUBSCRIBED: float(self._subscription.is_subscribed),
            RECONNECTS: float(max(0, self._subscription.subscriptions - 1)),
            SLOTS_WAITING: float(self._dispatcher.slots_waiting),
            TASKS_WAITING: float(self._dispatcher.tasks_waiting),
        }
        if self._folder is not None:
            found[LEDGER_SIZE] = float(_size(self._folder))
        return found


def _not_writable(folder: Path) -> list[str]:
    """Why no ledger can be written in the folder: idle, the main loop would not notice."""
    try:
        # Without a name, so that nothing is left of it.
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_ROOM_NEEDED))
    except OSError as error:
        return [f"ledger: {folder} cannot be written: {error.strerror}"]
    return []


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob(FILE_NAME + "*") if path.is_file())
