"""What some reports add up to, day by day. Pure."""

from app.channels import AGGREGATE
from app.domain import ZERO, DayTotals, Figures, ProfitReport, ReportKind, day_of

Sums = dict[str, tuple[int, Figures]]
"""Number of reports and figures by symbol, the account's as the last."""


class Tally:
    """Counts reports of `kind` as a bridge would, had it nothing else."""

    def __init__(self, kind: ReportKind) -> None:
        self._kind = kind
        self._totals: dict[int, DayTotals] = {}
        self._counts: dict[tuple[int, str], int] = {}
        self.reports = 0

    def add(self, report: ProfitReport) -> None:
        """Count one report."""
        day = day_of(report.timestamp_us)
        self._totals.setdefault(day, DayTotals(self._kind)).apply(report)
        slot = day, report.symbol
        self._counts[slot] = self._counts.get(slot, 0) + 1
        self.reports += 1

    @property
    def days(self) -> list[int]:
        """The days of the reports, in order."""
        return sorted(self._totals)

    def sums(self, day: int) -> Sums:
        """What the reports of a day make."""
        totals = self._totals.get(day, DayTotals(self._kind))
        sums = {
            name: (self._counts[day, name], totals.symbols[name]) for name in sorted(totals.symbols)
        }
        count = sum(one for one, _ in sums.values())
        return sums | {AGGREGATE: (count, totals.account)}


def same_amounts(one: Sums, other: Sums) -> bool:
    """Whether both have the same reports and amounts, at whatever times."""
    return _amounts(one) == _amounts(other)


def _amounts(sums: Sums) -> dict[str, tuple[int, ...]]:
    found = {name: (count, *figures.amounts) for name, (count, figures) in sums.items()}
    return {name: amounts for name, amounts in found.items() if amounts != (0, *ZERO.amounts)}
