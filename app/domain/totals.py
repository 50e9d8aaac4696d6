"""The totals: what every symbol and the account have made, day by day, exactly."""

from collections.abc import Iterator

from app.channels import AGGREGATE
from app.domain.model import ZERO, Figures, FiguresChange, ProfitReport, ReportKind, add_up
from app.domain.times import day_of


class DayTotals:
    """The figures of one day. The account is a running sum, so a report costs two additions."""

    def __init__(self, kind: ReportKind, opening_balance: dict[str, Figures] | None = None) -> None:
        self._replaces = kind == "snapshot"
        self.symbols: dict[str, Figures] = dict(opening_balance or {})
        # In an imported file the account may be more than its symbols: the rest still belongs
        # to the account.
        account = self.symbols.pop(AGGREGATE, None)
        self.account = account if account is not None else add_up(self.symbols.values())

    def apply(self, report: ProfitReport) -> Figures:
        """Count one report, and return the new figures of its symbol."""
        old = self.symbols.get(report.symbol, ZERO)
        if not self._replaces:
            new = old.plus(report)
            self.account = self.account.plus(report)
        else:
            new = old if old.timestamp_us > report.timestamp_us else ZERO.plus(report)
            self.account = self.account.minus(old).plus(new)
        self.symbols[report.symbol] = new
        return new

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known of the day."""
        return not self.symbols and self.account == ZERO

    def items(self) -> Iterator[tuple[str, Figures]]:
        """Yield every symbol with its figures, and the account last."""
        yield from self.symbols.items()
        yield AGGREGATE, self.account


class Totals:
    """All days that a report may still be for, and the newest day of each symbol."""

    def __init__(self) -> None:
        self.days: dict[int, DayTotals] = {}
        self._last = 0
        """The newest day that has figures."""

    def add_day(self, day: int, figures: DayTotals) -> None:
        """Add what is known of a day, before reports for it are applied."""
        self.days[day] = figures
        if day > self._last and not figures.is_empty:
            self._last = day

    def forget_before(self, day: int) -> None:
        """Drop the days that no report can be for any more."""
        for old in [known for known in self.days if known < day]:
            del self.days[old]

    def apply(self, report: ProfitReport) -> tuple[FiguresChange, FiguresChange]:
        """Count one report, and return the change of its symbol, then the account's.

        The report's day must have been added.
        """
        day = day_of(report.timestamp_us)
        symbol = report.symbol
        totals = self.days[day]
        figures = totals.apply(report)
        # Nearly every report is for the newest day, and needs no search through the others.
        is_last = day >= self._last
        if is_last:
            self._last = day
        is_newest = is_last or not self._is_known_after(day, symbol)
        return (
            FiguresChange(day, symbol, figures, is_newest),
            FiguresChange(day, AGGREGATE, totals.account, is_last),
        )

    def newest(self) -> Iterator[FiguresChange]:
        """Yield the newest figures of every symbol and of the account."""
        seen: set[str] = set()
        for day in sorted(self.days, reverse=True):
            if not self.days[day].is_empty:
                for symbol, figures in self.days[day].items():
                    if symbol not in seen:
                        seen.add(symbol)
                        yield FiguresChange(day, symbol, figures, is_newest=True)

    def _is_known_after(self, day: int, symbol: str) -> bool:
        return any(symbol in totals.symbols for known, totals in self.days.items() if known > day)
