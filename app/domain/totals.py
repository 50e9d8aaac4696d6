"""The totals: what every symbol and the account have made, day by day. Exact, and without I/O."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from app.channels import AGGREGATE
from app.domain.amounts import MILLIONTHS, shown
from app.domain.decoding import ProfitReport, ReportKind, day_of, to_text
from app.domain.schemas import Performance

# What runs for every report makes its tuples by this: it takes a fifth of the time.
_new = tuple.__new__


class Figures(NamedTuple):
    """Amounts in millionths, and when the newest report in them was made (0: there is none)."""

    total: int = 0
    unrealized: int = 0
    realized: int = 0
    converted: int = 0
    timestamp_us: int = 0

    def plus(self, other: "Figures") -> "Figures":
        """The sum of both; the time is the newer one."""
        return Figures(
            self.total + other.total,
            self.unrealized + other.unrealized,
            self.realized + other.realized,
            self.converted + other.converted,
            max(self.timestamp_us, other.timestamp_us),
        )

    def minus(self, other: "Figures") -> "Figures":
        """What is left without the amounts of `other`; the time stays."""
        return Figures(
            self.total - other.total,
            self.unrealized - other.unrealized,
            self.realized - other.realized,
            self.converted - other.converted,
            self.timestamp_us,
        )

    def shown(self, decimals: int) -> bytes:
        """The five fields that other programs read, as JSON, with amounts of `decimals` places."""
        total, unrealized, realized, converted, timestamp_us = self
        step = 10 ** (6 - decimals)
        if total % step or unrealized % step or realized % step or converted % step:
            return _encode(
                Performance(
                    shown(total, decimals),
                    shown(unrealized, decimals),
                    shown(realized, decimals),
                    shown(converted, decimals),
                    to_text(timestamp_us),
                )
            )
        # There is nothing to round, as in most reports: a third of the time.
        return _encode(
            Performance(
                total / MILLIONTHS,
                unrealized / MILLIONTHS,
                realized / MILLIONTHS,
                converted / MILLIONTHS,
                to_text(timestamp_us),
            )
        )


_encode = msgspec.json.Encoder().encode

ZERO = Figures()


class Change(NamedTuple):
    """New figures of a symbol or of the account on one day."""

    day: int
    symbol: str
    figures: Figures
    is_newest: bool
    """False for a late report: there is a newer day, so this one is not shown any more."""


class DayTotals:
    """The figures of one day. The account is kept as a running sum, not added up anew."""

    def __init__(self, kind: ReportKind, opening_balance: dict[str, Figures] | None = None) -> None:
        self._replaces = kind == "snapshot"
        self.symbols: dict[str, Figures] = dict(opening_balance or {})
        # An adopted file may name an account that is more than the symbols in it: the rest
        # belongs to the account all the same.
        account = self.symbols.pop(AGGREGATE, None)
        self.account = account if account is not None else add_up(self.symbols.values())

    def apply(self, report: ProfitReport) -> Figures:
        """Count one report; the new figures of its symbol."""
        symbol, _, timestamp_us, total, unrealized, realized, converted = report
        old = self.symbols.get(symbol, ZERO)
        if self._replaces:
            new = old if old.timestamp_us > timestamp_us else Figures(*report[3:], timestamp_us)
            self.account = self.account.minus(old).plus(new)
        else:
            # `plus` twice, written out.
            t, u, r, c, last = old
            last = timestamp_us if timestamp_us > last else last
            new = _new(Figures, (t + total, u + unrealized, r + realized, c + converted, last))
            t, u, r, c, last = self.account
            last = timestamp_us if timestamp_us > last else last
            self.account = _new(
                Figures, (t + total, u + unrealized, r + realized, c + converted, last)
            )
        self.symbols[symbol] = new
        return new

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known of the day."""
        return not self.symbols and self.account == ZERO

    def items(self) -> Iterator[tuple[str, Figures]]:
        """Every symbol's figures, and the account's as the last."""
        yield from self.symbols.items()
        yield AGGREGATE, self.account


def add_up(figures: Iterable[Figures]) -> Figures:
    """The sum of all `figures`."""
    total = ZERO
    for one in figures:
        total = total.plus(one)
    return total


class Totals:
    """All days that a report may still come for, and which day is the newest of each symbol."""

    def __init__(self) -> None:
        self.days: dict[int, DayTotals] = {}
        self._last = 0
        """The newest day of which there are figures."""

    def add_day(self, day: int, figures: DayTotals) -> None:
        """Take in what is known of a day, before reports for it are applied."""
        self.days[day] = figures
        if day > self._last and not figures.is_empty:
            self._last = day

    def forget_before(self, day: int) -> None:
        """Drop the figures of days that no report can come for any more."""
        for old in [known for known in self.days if known < day]:
            del self.days[old]

    def apply(self, report: ProfitReport) -> tuple[Change, Change]:
        """Count one report; the change of its symbol, and then the account's.

        The report's day must have been added.
        """
        day = day_of(report.timestamp_us)
        symbol = report.symbol
        figures = self.days[day]
        of_symbol = figures.apply(report)
        # Nearly every report is of the last day, and no other day is looked at for it.
        is_last = day >= self._last
        if is_last:
            self._last = day
        is_newest = is_last or not self._is_known_after(day, symbol)
        return (
            _new(Change, (day, symbol, of_symbol, is_newest)),
            _new(Change, (day, AGGREGATE, figures.account, is_last)),
        )

    def newest(self) -> Iterator[Change]:
        """The newest figures of every symbol and of the account."""
        told: set[str] = set()
        for day in sorted(self.days, reverse=True):
            if not self.days[day].is_empty:
                for symbol, figures in self.days[day].items():
                    if symbol not in told:
                        told.add(symbol)
                        yield Change(day, symbol, figures, is_newest=True)

    def _is_known_after(self, day: int, symbol: str) -> bool:
        return any(symbol in figures.symbols for known, figures in self.days.items() if known > day)
