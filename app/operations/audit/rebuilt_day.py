"""A day made again from the ledger's rows, and kept up while a bridge writes on."""

from collections import defaultdict
from typing import Any

import msgspec

from app.accounting import LedgerReader
from app.channels import AGGREGATE
from app.domain import ZERO, DayTotals, Figures, ProfitReport, day_of, time_in
from app.operations.audit.comparison import Record, differences
from app.settings import Settings


class LedgerDay:
    """One day of the ledger, and what it has been since this was made.

    Args:
        settings: of this process.
        day: counted from 1970-01-01.
        oldest: the first day that is looked at for a symbol's newest one.
        reader: of the ledger.
    """

    def __init__(self, settings: Settings, day: int, oldest: int, reader: LedgerReader) -> None:
        self.day = day
        self._oldest = oldest
        self._decimals = settings.profit_decimals
        self._reader = reader
        self._passed: dict[str, list[Figures]] = defaultdict(list)
        self._last = 0
        self.kind = reader.kind_of(day) or settings.profit_report_kind
        self._count_anew()

    @property
    def is_empty(self) -> bool:
        """Whether the ledger has nothing of the day."""
        return not self.reports and not self.opening_balance

    def catch_up(self) -> None:
        """Count what has come since, and remember what the figures were before it."""
        if self._reader.opening_balance(self.day) != self.opening_balance:
            # The bridge has just adopted the file, or found in the journal what the file has.
            for symbol, figures in self.totals.items():
                self._passed[symbol].append(figures)
            self._count_anew()
            return
        for report in self._reader.reports(self.day, self._last):
            self._passed[report.symbol].append(self.totals.symbols.get(report.symbol, ZERO))
            self._passed[AGGREGATE].append(self.totals.account)
            self._count(report)
        self._last = self._reader.last_id()
        self.newest = self._reader.newest_days(self._oldest)

    def records(self) -> dict[str, Record]:
        """What there should be to see."""
        figures = dict(self.totals.items())
        return {symbol: self._record(one) for symbol, one in figures.items() if one != ZERO}

    def had(self, symbol: str, found: Any) -> bool:
        """Whether `found` is what the ledger had since this was made, though no more."""
        for figures in reversed(self._passed[symbol]):
            right = None if figures == ZERO else self._record(figures)
            there = {} if found is None else {symbol: found}
            if not differences("", {symbol: right} if right else {}, there):
                return True
        return False

    def owns(self, symbol: str, node: Any) -> bool:
        """Whether `node`, of a symbol in Firebase, is to be compared with this day."""
        newest = self.newest.get(symbol, -1)
        if newest >= self.day:
            return newest == self.day
        at = time_in(node)
        if at is None:
            # Of no day at all: it is too much wherever it is looked at.
            return newest < 0
        return day_of(at) == self.day

    def _count_anew(self) -> None:
        self.opening_balance = self._reader.opening_balance(self.day)
        self.totals = DayTotals(self.kind, self.opening_balance)
        self.reports = 0
        for report in self._reader.reports(self.day):
            self._count(report)
        self._last = self._reader.last_id()
        self.newest = self._reader.newest_days(self._oldest)

    def _count(self, report: ProfitReport) -> None:
        self.totals.apply(report)
        self.reports += 1

    def _record(self, figures: Figures) -> Record:
        shown: Record = msgspec.json.decode(figures.shown(self._decimals))
        return shown
