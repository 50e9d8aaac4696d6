"""The round trip of one report: counted by the bridge, then visible in Firebase."""

import threading
import time
from typing import Any

from app.domain import ProfitReport, read_performance, time_in
from app.firebase import Event, Stream, apply_event, children
from app.messaging import connect, reaching
from app.settings import Settings

_READY_TIMEOUT = 5.0
_POLL_INTERVAL = 0.01


class RoundTrip:
    """Waits for a report to arrive; create it before the report is published.

    The report is recognised by its time: figures of that time or later contain it. Its time must
    therefore be the current time. In rare cases the figures are those of another bot's report, made
    after this one and counted just before it.

    Args:
        settings: This process's settings. If they name no database, Firebase is not followed.
        report: The report to wait for.

    Raises:
        RetryLater: Redis cannot be reached.
        WrongSetting: There are no usable credentials for the database.
    """

    def __init__(self, settings: Settings, report: ProfitReport) -> None:
        self._url = settings.redis_url
        self.decimals = settings.profit_decimals
        """Decimal places of the figures."""
        self._report = report
        # Held, because a client that is garbage-collected closes its subscriptions.
        self._client = connect(self._url)
        self._pubsub: Any = self._client.pubsub()  # type: ignore[no-untyped-call]
        with reaching(self._url):
            self._pubsub.subscribe(settings.names.performance_channel(report.symbol))
            self._pubsub.get_message(timeout=_READY_TIMEOUT)
        self._node: Any = None
        self._visible_at = 0.0
        self._is_visible = threading.Event()
        self.in_firebase = settings.stores(report.symbol) and bool(
            settings.firebase_database_url or settings.firebase_database_emulator_host
        )
        """Whether the report will become visible in Firebase."""
        self._stream = Stream(settings, self._apply, report.symbol) if self.in_firebase else None
        deadline = time.monotonic() + _READY_TIMEOUT
        while self._stream and not self._stream.status().is_live and time.monotonic() < deadline:
            time.sleep(_POLL_INTERVAL)

    def close(self) -> None:
        """Close the connections."""
        self._pubsub.close()
        self._client.close()
        if self._stream:
            self._stream.close()

    def wait_until_counted(self, deadline: float) -> tuple[dict[str, Any], float] | None:
        """Return the symbol's figures with the report, and when they were published.

        Args:
            deadline: When to give up and return None. All times are those of time.monotonic().

        Raises:
            RetryLater: Redis can no longer be reached.
        """
        while time.monotonic() < deadline:
            with reaching(self._url):
                message = self._pubsub.get_message(ignore_subscribe_messages=True, timeout=0.1)
            if message is not None:
                figures = read_performance(message["data"]).value
                if self._contains_report(figures):
                    return figures, time.monotonic()
        return None

    def wait_until_visible(self, deadline: float) -> float | None:
        """Return when Firebase showed figures with the report; None if not by `deadline`."""
        if self._is_visible.wait(max(0.0, deadline - time.monotonic())):
            return self._visible_at
        return None

    @property
    def problem(self) -> str:
        """Why Firebase cannot be followed; empty if no problem is known."""
        return self._stream.status().problem if self._stream else ""

    def _apply(self, event: Event) -> None:
        self._node = apply_event(self._node, event)
        if not self._is_visible.is_set() and self._contains_report(children(self._node)):
            self._visible_at = time.monotonic()
            self._is_visible.set()

    def _contains_report(self, figures: dict[str, Any]) -> bool:
        timestamp_us = time_in(figures)
        return timestamp_us is not None and timestamp_us >= self._report.timestamp_us
