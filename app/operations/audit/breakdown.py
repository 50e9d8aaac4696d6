"""The reports of a day one by one, and what each symbol's reports add up to."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from app.channels import AGGREGATE
from app.domain import ZERO, DayTotals, Figures, ProfitReport, ReportKind

Shares = dict[str, tuple[int, Figures]]
"""The number of reports and the figures of each symbol, in order, and of the account at the end."""


class Step(NamedTuple):
    """One report, and the figures of its symbol after it."""

    number: int
    """Counted from 1, in the order of acceptance."""
    report: ProfitReport
    figures: Figures
    counts: bool
    """False for a snapshot that is older than the one before it: it changes nothing."""


class Breakdown:
    """What the reports of one day add up to, report by report and symbol by symbol.

    Args:
        kind: What a report of the day means.
        opening_balance: Figures that no report accounts for: by symbol, the account as `aggregate`.
    """

    def __init__(
        self, kind: ReportKind, opening_balance: Mapping[str, Figures] | None = None
    ) -> None:
        self._kind = kind
        self._totals = DayTotals(kind, dict(opening_balance or {}))
        self._counts = dict.fromkeys(self._totals.symbols, 0)
        self.reports = 0
        """How many reports were added."""

    def add(self, report: ProfitReport) -> Step:
        """Count the next report."""
        symbol = report.symbol
        before = self._totals.symbols.get(symbol, ZERO)
        figures = self._totals.apply(report)
        self._counts[symbol] = self._counts.get(symbol, 0) + 1
        self.reports += 1
        counts = self._kind == "increment" or report.timestamp_us >= before.timestamp_us
        return Step(self.reports, report, figures, counts)

    def shares(self) -> Shares:
        """Return what each symbol contributes, and the account."""
        shares = {
            symbol: (self._counts[symbol], self._totals.symbols[symbol])
            for symbol in sorted(self._counts)
        }
        return shares | {AGGREGATE: (self.reports, self._totals.account)}

    def unassigned(self) -> Figures:
        """Return what the account of an imported file has beyond the symbols in it."""
        unassigned = self._totals.account
        for figures in self._totals.symbols.values():
            unassigned = unassigned.minus(figures)
        return msgspec.structs.replace(unassigned, timestamp_us=0)


def same_amounts(one: Shares, other: Shares) -> bool:
    """Return whether both have the same reports and amounts, whatever their timestamps."""
    return _amounts(one) == _amounts(other)


def _amounts(shares: Shares) -> dict[str, tuple[int, ...]]:
    amounts = {symbol: (count, *figures.amounts) for symbol, (count, figures) in shares.items()}
    return {symbol: values for symbol, values in amounts.items() if any(values)}
