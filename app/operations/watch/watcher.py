"""The tickers as they are in Firebase now, and how they changed since watching began."""

import threading
from datetime import UTC, datetime
from typing import Any

from app.domain import PERFORMANCE
from app.firebase import (
    Event,
    Stream,
    StreamStatus,
    apply_event,
    children,
    split_path,
    unescape_key,
)
from app.operations.watch.rows import Row, parse_time, rows_of
from app.settings import Settings


class WatchedTickers:
    """The tree of tickers, and what happened to it. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.tree: Any = None
        self.since: datetime | None = None
        """When watching began: when the whole tree first arrived."""
        self._first: dict[str, Row] = {}
        self._lags: dict[str, float] = {}

    def apply(self, event: Event, now: datetime) -> None:
        """Apply an event that arrived at `now`.

        Orders are left out: nobody sees them here, and there are many.
        """
        with self._lock:
            if event.kind == "put" and not split_path(event.path):
                self._replace_all(event.data, now)
            else:
                self._change_some(event, now)

    def rows(self) -> list[Row]:
        """Return a row for each ticker, with its change and lag."""
        with self._lock:
            return [
                row._replace(change=self._change(row), lag=self._lags.get(row.ticker))
                for row in rows_of(self.tree)
            ]

    def _change_some(self, event: Event, now: datetime) -> None:
        before = self.tree
        tickers = set()
        for keys, value in event.changes():
            if keys[1:2] == ["orders"]:
                continue
            bare = _without_orders(value) if len(keys) == 1 else value
            self.tree = apply_event(self.tree, Event("put", "/".join(keys), bare))
            tickers.update(keys[:1])
        for ticker in tickers:
            self._measure_lag(ticker, before, now)

    def _replace_all(self, tree: Any, now: datetime) -> None:
        """Start over with the whole tree, which is what every connection begins with."""
        self.tree = {key: _without_orders(node) for key, node in children(tree).items()}
        # What changed while the stream was down arrived at an unknown time.
        self._lags.clear()
        if self.since is None:
            self.since = now
            self._first = {row.ticker: row for row in rows_of(self.tree)}

    def _measure_lag(self, key: str, before: Any, now: datetime) -> None:
        old, new = _timestamp(before, key), _timestamp(self.tree, key)
        reported_at = parse_time(new)
        if reported_at is not None and new != old:
            self._lags[unescape_key(key)] = (now - reported_at).total_seconds()

    def _change(self, row: Row) -> float | None:
        if row.total is None or row.reported_at is None:
            return None
        first = self._first.get(row.ticker)
        if (
            first
            and first.total is not None
            and first.reported_at
            and first.reported_at.date() == row.reported_at.date()
        ):
            return row.total - first.total
        # Every day starts at zero, and so does a ticker that was not there before.
        return row.total


def _timestamp(tree: Any, key: str) -> Any:
    return children(children(children(tree).get(key)).get(PERFORMANCE)).get("timestamp")


def _without_orders(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    return {name: child for name, child in node.items() if name != "orders"}


class Watcher(WatchedTickers):
    """The tickers of the database that the settings name, followed from a thread.

    Raises:
        WrongSetting: The settings name no database, or no usable credentials.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.decimals = settings.profit_decimals
        """Decimal places of the amounts."""
        self._stream = Stream(settings, lambda event: self.apply(event, datetime.now(UTC)))

    def status(self) -> StreamStatus:
        return self._stream.status()

    def close(self) -> None:
        self._stream.close()
