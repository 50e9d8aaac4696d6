"""The day so far of each total, for the lines of the live page. Pure: no I/O and no clock."""

from __future__ import annotations

from collections.abc import Iterable

from app.dev.rtdb.tree import Json, Scalar

MOST_POINTS = 300
MOST_LINES = 1_000
"""Symbols; what comes first is kept. A line with all its points takes some 60 kB."""

_FIRST_STRETCH_MS = 1_000
_TOTAL = "/performance/total"
_TIMESTAMP = "/performance/timestamp"
_DATE_LENGTH = len("2025-05-15")


class Line:
    """One total through one day: the newest value of each stretch of time.

    All stretches are equally long, and become twice as long when there are too many: so the points
    lie evenly over the day, however unevenly the values came.

    Args:
        day: as in the timestamps, `2025-05-15`; empty if they name none.
    """

    def __init__(self, day: str) -> None:
        self.day = day
        self._stretch_ms = _FIRST_STRETCH_MS
        self._points: dict[int, tuple[int, float]] = {}

    def add(self, at_ms: int, total: float) -> None:
        """Note a value. `at_ms` is when it was stored, in ms since 1970."""
        self._points[at_ms // self._stretch_ms] = (at_ms, total)
        while len(self._points) > MOST_POINTS:
            self._stretch_ms *= 2
            self._points = {at // self._stretch_ms: (at, of) for at, of in self._points.values()}

    def as_json(self) -> Json:
        """`day`, and `points` as [ms since 1970, total], oldest first."""
        return {"day": self.day, "points": [[at, total] for at, total in self._points.values()]}


class History:
    """The lines of one namespace, by the path of the node that has the performance."""

    def __init__(self) -> None:
        self._lines: dict[str, Line] = {}

    def note(self, writes: Iterable[tuple[str, Scalar | None]], at_ms: int) -> None:
        """Take the totals out of the leaves of one commit.

        A total whose timestamp names another day than the line's begins a new line; one that is
        removed takes its line with it.
        """
        days: dict[str, str] = {}
        totals: dict[str, Scalar | None] = {}
        for path, value in writes:
            if path.endswith(_TOTAL):
                totals[path.removesuffix(_TOTAL)] = value
            elif path.endswith(_TIMESTAMP):
                days[path.removesuffix(_TIMESTAMP)] = str(value)[:_DATE_LENGTH]
        for node, total in totals.items():
            self._note(node, total, days.get(node), at_ms)

    def _note(self, node: str, total: Scalar | None, day: str | None, at_ms: int) -> None:
        if isinstance(total, bool) or not isinstance(total, int | float):
            self._lines.pop(node, None)
            return
        line = self._lines.get(node)
        if line is None and len(self._lines) >= MOST_LINES:
            return
        if line is None or day not in (None, line.day):
            line = self._lines[node] = Line(day or "")
        line.add(at_ms, total)

    def as_json(self) -> Json:
        """Every line, by path: `/services/SOFI`."""
        return {node: line.as_json() for node, line in self._lines.items()}
