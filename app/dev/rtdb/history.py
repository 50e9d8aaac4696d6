"""Each total over the current day, for the charts of the live page. Pure: no I/O and no clock."""

from __future__ import annotations

from collections.abc import Iterable

from app.dev.rtdb.tree import Json, Scalar

MOST_POINTS = 300
MOST_LINES = 1_000
"""Symbols; later ones have no line. A line with all its points takes about 60 kB."""

_FIRST_INTERVAL_MS = 1_000
_TOTAL = "/performance/total"
_TIMESTAMP = "/performance/timestamp"
_DATE_LENGTH = len("2025-05-15")


class Line:
    """One total over one day: the newest value of each interval.

    All intervals are equally long, and double when there are too many of them, so the points are
    spread evenly over the day even if the values are not.

    Args:
        day: Day as in the timestamps, `2025-05-15`; empty if they have none.
    """

    def __init__(self, day: str) -> None:
        self.day = day
        self._interval_ms = _FIRST_INTERVAL_MS
        self._points: dict[int, tuple[int, float]] = {}

    def add(self, stored_ms: int, total: float) -> None:
        """Add a value that was stored at a time in ms since 1970."""
        self._points[stored_ms // self._interval_ms] = (stored_ms, total)
        while len(self._points) > MOST_POINTS:
            self._interval_ms *= 2
            points = self._points.values()
            self._points = {ms // self._interval_ms: (ms, total) for ms, total in points}

    def as_json(self) -> Json:
        """Return `day`, and `points` as [ms since 1970, total], oldest first."""
        return {"day": self.day, "points": [[ms, total] for ms, total in self._points.values()]}


class History:
    """The lines of one namespace, by the path of the node with the performance."""

    def __init__(self) -> None:
        self._lines: dict[str, Line] = {}

    def record(self, writes: Iterable[tuple[str, Scalar | None]], stored_ms: int) -> None:
        """Record the totals among the leaves of one commit.

        A total whose timestamp is of another day starts a new line; a total that is removed
        removes its line.
        """
        days: dict[str, str] = {}
        totals: dict[str, Scalar | None] = {}
        for path, value in writes:
            if path.endswith(_TOTAL):
                totals[path.removesuffix(_TOTAL)] = value
            elif path.endswith(_TIMESTAMP):
                days[path.removesuffix(_TIMESTAMP)] = str(value)[:_DATE_LENGTH]
        for node, total in totals.items():
            self._record_total(node, total, days.get(node), stored_ms)

    def _record_total(
        self, node: str, total: Scalar | None, day: str | None, stored_ms: int
    ) -> None:
        if isinstance(total, bool) or not isinstance(total, int | float):
            self._lines.pop(node, None)
            return
        line = self._lines.get(node)
        if line is None and len(self._lines) >= MOST_LINES:
            return
        if line is None or day not in (None, line.day):
            line = self._lines[node] = Line(day or "")
        line.add(stored_ms, total)

    def as_json(self) -> Json:
        """Return every line, by path: `/services/SOFI`."""
        return {node: line.as_json() for node, line in self._lines.items()}
