"""The health of a service: its main loop reports a heartbeat, the status server asks."""

import tempfile
import time
from contextlib import suppress
from pathlib import Path

from app.accounting import FILE_NAME, missing_reports
from app.delivery import Dispatcher
from app.errors import StopProgram
from app.messaging import Subscription
from app.monitoring.metrics import (
    LEDGER_SIZE,
    MISSING_REPORTS,
    READY,
    RECONNECTS,
    SLOTS_WAITING,
    SUBSCRIBED,
    TASKS_WAITING,
    Metric,
)

HEARTBEAT_TIMEOUT = 15.0
"""Seconds. A main loop that is silent for longer hangs: all that it waits for has a time limit."""

_SPACE_NEEDED = 64 * 1024


class Health:
    """The health of one service. Asking for it never waits for the main loop, or delays it.

    Args:
        subscription: The service's subscription.
        dispatcher: The service's dispatcher.
        folder: The folder of its ledger; None without a ledger.
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
        """Note that the main loop is alive, and what it waits for if it can only try again."""
        self._last_heartbeat = time.monotonic()
        self._waits_for = waits_for

    def hangs(self) -> list[str]:
        """Return why the service should be restarted; empty while it is alive."""
        silent = time.monotonic() - self._last_heartbeat
        if silent > HEARTBEAT_TIMEOUT:
            return [f"main loop: no heartbeat for {silent:.0f} s"]
        return []

    def troubles(self) -> list[str]:
        """Return what keeps the service from its work, or from a part of it; empty if nothing."""
        found = self.hangs()
        if found:
            # A disk that blocks the main loop would block this thread too.
            return found
        if not self._subscription.is_subscribed:
            found.append("redis: not subscribed")
        if self._waits_for:
            found.append(self._waits_for)
        elif self._folder is not None:
            found += _not_writable(self._folder)
        if self._dispatcher.stalled:
            found.append(f"dispatcher: {self._dispatcher.stalled}")
        return found

    def figures(self) -> dict[Metric, float]:
        """Return the metrics of the present state."""
        found = {
            READY: float(not self.troubles()),
            SUBSCRIBED: float(self._subscription.is_subscribed),
            RECONNECTS: float(max(0, self._subscription.subscriptions - 1)),
            SLOTS_WAITING: float(self._dispatcher.slots_waiting),
            TASKS_WAITING: float(self._dispatcher.tasks_waiting),
        }
        if self._folder is not None:
            found[LEDGER_SIZE] = float(_size(self._folder))
            with suppress(StopProgram):
                found[MISSING_REPORTS] = float(missing_reports(self._folder)[0])
        return found


def _not_writable(folder: Path) -> list[str]:
    """Try to write in the folder: an idle main loop would not notice that the disk is full."""
    try:
        # The file has no name, so nothing of it is left behind.
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_SPACE_NEEDED))
    except OSError as error:
        return [f"ledger: {folder} cannot be written: {error.strerror}"]
    return []


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob(FILE_NAME + "*") if path.is_file())
