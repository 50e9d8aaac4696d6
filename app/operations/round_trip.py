"""Seeing one report arrive: counted by the bridge, and visible in Firebase."""

import time
from typing import Any

from app.channels import performance_channel
from app.domain import ProfitReport, read_performance, time_in
from app.firebase import Event, Stream, apply_event, children
from app.messaging import connect, reaching
from app.settings import Settings

_READY_WITHIN = 5.0
_LOOK = 0.01


class RoundTrip:
    """Listens from before a report is sent until it was seen.

    It is known by its time: figures with it, or with a newer report, have it. So its time must be
    that of now; by a rare chance what is seen is the figures of another bot's report that was made
    after it and counted in the instant before it.

    Args:
        settings: of this process. Where they name no database, none is listened to.
        report: that will be sent.

    Raises:
        RetryLater: Redis cannot be reached.
        WrongSetting: there are no usable credentials for the database.
    """

    def __init__(self, settings: Settings, report: ProfitReport) -> None:
        self._url = settings.redis_url
        self._report = report
        # DeadLetters: a client that nobody holds any more takes its subscriptions down with it.
        self._client = connect(self._url)
        self._pubsub: Any = self._client.pubsub()  # type: ignore[no-untyped-call]
        with reaching(self._url):
            self._pubsub.subscribe(performance_channel(report.symbol))
            self._pubsub.get_message(timeout=_READY_WITHIN)
        self._record: Any = None
        self._visible_at: float | None = None
        self.in_firebase = settings.stores(report.symbol) and bool(
            settings.firebase_database_url or settings.firebase_database_emulator_host
        )
        """Whether there is something to be seen in Firebase."""
        self._stream = Stream(settings, self._take_in, report.symbol) if self.in_firebase else None
        ready_by = time.monotonic() + _READY_WITHIN
        while self._stream and not self._stream.status().is_live and time.monotonic() < ready_by:
            time.sleep(_LOOK)

    def close(self) -> None:
        """Listen no longer."""
        self._pubsub.close()
        self._client.close()
        if self._stream:
            self._stream.close()

    def counted(self, until: float) -> tuple[dict[str, Any], float] | None:
        """The symbol's figures with the report, and when they came.

        Args:
            until: the time, as time.monotonic() has it, at which to give up; None is returned then.

        Raises:
            RetryLater: Redis cannot be reached any more.
        """
        while time.monotonic() < until:
            with reaching(self._url):
                message = self._pubsub.get_message(ignore_subscribe_messages=True, timeout=0.1)
            if message is not None:
                figures = read_performance(message["data"]).value
                if self._has_it(figures):
                    return figures, time.monotonic()
        return None

    def visible(self, until: float) -> float | None:
        """When the figures with the report were seen in Firebase; None if not by `until`."""
        while self._visible_at is None and time.monotonic() < until:
            time.sleep(_LOOK)
        return self._visible_at

    @property
    def problem(self) -> str:
        """Why Firebase cannot be heard; empty if nothing is known to be wrong."""
        return self._stream.status().problem if self._stream else ""

    def _take_in(self, event: Event) -> None:
        self._record = apply_event(self._record, event)
        if self._visible_at is None and self._has_it(children(self._record)):
            self._visible_at = time.monotonic()

    def _has_it(self, figures: dict[str, Any]) -> bool:
        at = time_in(figures)
        return at is not None and at >= self._report.timestamp_us
