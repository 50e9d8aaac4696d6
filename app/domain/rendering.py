"""What was counted, as it is shown: bytes for the daily files, for Redis, for Firebase."""

from collections import defaultdict
from collections.abc import Iterable

from app.domain.totals import Change

Record = tuple[str, bytes]
"""A symbol, or `aggregate`, and its five fields as JSON."""


class RenderedBatch:
    """Changes, shown.

    Args:
        decimals: places of the amounts.
    """

    def __init__(self, decimals: int) -> None:
        self._decimals = decimals
        self.by_day: defaultdict[int, list[Record]] = defaultdict(list)
        """All records of each day, in order."""
        self.newest: list[Record] = []
        """Those of a symbol's newest day, in order: what there is to publish and to store."""

    def take_in(self, changes: Iterable[Change]) -> None:
        """Show changes.

        Args:
            changes: best made one by one as they are taken. A thousand figures that wait for each
                other have left the processor's cache when they are shown, and lie scattered in
                memory where those of many symbols are.
        """
        decimals, newest, by_day = self._decimals, self.newest, self.by_day
        for day, symbol, figures, is_newest in changes:
            record = symbol, figures.shown(decimals)
            by_day[day].append(record)
            if is_newest:
                newest.append(record)
