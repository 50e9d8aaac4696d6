"""A day recomputed from the ledger's reports, and kept current while a bridge writes on."""

from collections import defaultdict
from typing import Any

import msgspec

from app.accounting import LedgerReader
from app.channels import AGGREGATE
from app.domain import ZERO, DayTotals, Figures, ProfitReport, day_of, time_in
from app.operations.audit.comparison import Record, differences
from app.settings import Settings


class LedgerDay:
    """One day of the ledger, and every state it had since this object was made.

    The newest day of a symbol is looked for from `oldest_day` on.
    """

    def __init__(self, settings: Settings, day: int, oldest_day: int, reader: LedgerReader) -> None:
        self.day = day
        self._oldest_day = oldest_day
        self._decimals = settings.profit_decimals
        self._reader = reader
        self._earlier: dict[str, list[Figures]] = defaultdict(list)
        self.kind = reader.kind_of(day) or settings.profit_report_kind
        self._recompute()

    @property
    def is_empty(self) -> bool:
        """Whether the ledger has nothing of the day."""
        return not self.reports and not self.opening_balance

    def catch_up(self) -> None:
        """Count what was recorded since, and remember the figures before it."""
        if self._reader.opening_balance(self.day) != self.opening_balance:
            # The bridge has imported the file, or moved reports that it found in the journal.
            for symbol, figures in self.totals.items():
                self._earlier[symbol].append(figures)
            self._recompute()
            return
        for report in self._reader.reports(self.day, after=self._last_id):
            before = self.totals.symbols.get(report.symbol, ZERO)
            self._earlier[report.symbol].append(before)
            self._earlier[AGGREGATE].append(self.totals.account)
            self._count(report)
        self._mark_read()

    def records(self) -> dict[str, Record]:
        """Return what other programs should see."""
        return {symbol: msgspec.json.decode(fields) for symbol, fields in self.shown().items()}

    def shown(self) -> dict[str, bytes]:
        """Return the same as JSON."""
        return {
            symbol: figures.shown(self._decimals)
            for symbol, figures in self.totals.items()
            if figures != ZERO
        }

    def had(self, symbol: str, found: Any) -> bool:
        """Whether the ledger had `found` since this object was made, but has newer figures now."""
        actual = {} if found is None else {symbol: found}
        for figures in reversed(self._earlier[symbol]):
            record = msgspec.json.decode(figures.shown(self._decimals))
            expected = {} if figures == ZERO else {symbol: record}
            if not differences("", expected, actual):
                return True
        return False

    def owns(self, symbol: str, node: Any) -> bool:
        """Whether `node`, a symbol's performance in Firebase, is to be compared with this day."""
        newest = self.newest.get(symbol, -1)
        if newest >= self.day:
            return newest == self.day
        timestamp_us = time_in(node)
        if timestamp_us is None:
            # It is of no day at all, and a difference on every day of a symbol without reports.
            return newest < 0
        return day_of(timestamp_us) == self.day

    def _recompute(self) -> None:
        self.opening_balance = self._reader.opening_balance(self.day)
        self.totals = DayTotals(self.kind, self.opening_balance)
        self.reports = 0
        first = self._reader.extent(self.day).first
        for report in self._reader.reports(self.day, after=first - 1):
            self._count(report)
        self._mark_read()

    def _count(self, report: ProfitReport) -> None:
        self.totals.apply(report)
        self.reports += 1

    def _mark_read(self) -> None:
        self._last_id = self._reader.last_id()
        self.newest = self._reader.newest_days(self._oldest_day)
