"""The figures of a day, summed by SQLite.

This is one of two ways to add up a day, and shares no arithmetic with the other, the running
totals of `app.domain.DayTotals`. A bridge starts from these figures and keeps running totals from
then on; the audit compares both.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping

from app.accounting.opening_balance import read_opening_balance
from app.channels import AGGREGATE
from app.domain import ATOMS, DAY, FIELDS, ZERO, Figures, ReportKind

# Split at the unit: 93 reports of the largest amount add up to more atoms than SQLite's 64 bits
# hold. The halves are put together again as Python's numbers, which have no limit.
_SUMS_OF_INCREMENTS = f"""
SELECT symbol,
       {", ".join(f"SUM({name} / {ATOMS}), SUM({name} % {ATOMS})" for name in FIELDS)},
       MAX(at)
FROM report WHERE at >= ? AND at < ? AND id <= ? GROUP BY symbol
"""  # noqa: S608 - constants only
_SNAPSHOTS_BY_TIME = """
SELECT symbol, total, unrealized, realized, converted, at
FROM report WHERE at >= ? AND at < ? AND id <= ? ORDER BY at, id
"""


def read_day_figures(
    db: sqlite3.Connection, day: int, kind: ReportKind, last_id: int
) -> dict[str, Figures]:
    """Return the figures of a day, up to the report `last_id`: by symbol, and for `aggregate`."""
    span = (day * DAY, (day + 1) * DAY, last_id)
    if kind == "increment":
        reported = {
            symbol: Figures(*(*_joined(halves), timestamp_us))
            for symbol, *halves, timestamp_us in db.execute(_SUMS_OF_INCREMENTS, span)
        }
    else:
        # Of each symbol the last one stands: the newest.
        reported = {
            symbol: Figures(*figures) for symbol, *figures in db.execute(_SNAPSHOTS_BY_TIME, span)
        }
    return with_opening_balance(kind, read_opening_balance(db, day), reported)


def with_opening_balance(
    kind: ReportKind, opening_balance: Mapping[str, Figures], reported: Mapping[str, Figures]
) -> dict[str, Figures]:
    """Combine an opening balance with what the day's reports make of each symbol."""
    symbols = dict(opening_balance)
    imported_account = symbols.pop(AGGREGATE, None)
    # The account of an imported file may be more than the symbols in it.
    beside_symbols = imported_account.minus(_sum(symbols.values())) if imported_account else ZERO
    for symbol, figures in reported.items():
        imported = symbols.get(symbol, ZERO)
        if kind == "increment":
            symbols[symbol] = _sum((imported, figures))
        elif imported.timestamp_us <= figures.timestamp_us:
            symbols[symbol] = figures
    return {**symbols, AGGREGATE: _sum((*symbols.values(), beside_symbols))}


def _sum(figures: Iterable[Figures]) -> Figures:
    """Add up without `Figures.plus`, which the running totals are made of."""
    *amounts, timestamps = zip(ZERO, *figures, strict=True)
    return Figures(*(*map(sum, amounts), max(timestamps)))


def _joined(halves: list[int]) -> Iterator[int]:
    """Put amounts together again that were summed as whole units and atoms."""
    for units, atoms in zip(halves[::2], halves[1::2], strict=True):
        yield units * ATOMS + atoms
