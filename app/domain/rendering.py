"""Counted figures as other programs read them: JSON for daily files, Redis and Firebase."""

from collections import defaultdict
from collections.abc import Iterable

from app.domain.model import FiguresChange

RenderedFigures = tuple[str, bytes]
"""A symbol, or `aggregate`, and its five fields as JSON."""


class RenderedBatch:
    """The changes of one batch, rendered.

    Args:
        decimals: Decimal places of the amounts.
    """

    def __init__(self, decimals: int) -> None:
        self._decimals = decimals
        self.by_day: defaultdict[int, list[RenderedFigures]] = defaultdict(list)
        """All records of each day, in order."""
        self.newest: list[RenderedFigures] = []
        """Those of each symbol's newest day, in order: to be published and stored."""

    def add(self, changes: Iterable[FiguresChange]) -> None:
        """Render changes.

        Args:
            changes: Best a generator that applies each report as it is asked for: figures that
                wait for a thousand others have left the processor's cache when they are rendered.
        """
        decimals, newest, by_day = self._decimals, self.newest, self.by_day
        for change in changes:
            record = change.symbol, change.figures.shown(decimals)
            by_day[change.day].append(record)
            if change.is_newest:
                newest.append(record)
