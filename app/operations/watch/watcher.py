"""Watching the tickers: what the stream tells, kept where it can be looked at any time."""

import threading
from datetime import UTC, datetime

from app.firebase import Event, Stream, StreamUpdate
from app.operations.watch.tickers import Row, Watched
from app.settings import Settings


class Watcher:
    """Follows all tickers of the database that the settings name.

    Raises:
        WrongSetting: they name none, or no usable credentials.
    """

    def __init__(self, settings: Settings) -> None:
        self._lock = threading.Lock()
        self._watched = Watched()
        self._stream = Stream(settings, self._take_in)

    def rows(self) -> list[Row]:
        """What there is now."""
        with self._lock:
            return self._watched.rows()

    @property
    def since(self) -> datetime | None:
        """When watching began; None while nothing has come."""
        return self._watched.since

    def news(self) -> StreamUpdate:
        """Whether that is what there is in Firebase."""
        return self._stream.news()

    def close(self) -> None:
        """Watch no longer."""
        self._stream.close()

    def _take_in(self, event: Event) -> None:
        with self._lock:
            self._watched.take_in(event, datetime.now(UTC))
