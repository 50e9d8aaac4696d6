"""Opening balances: what a daily file held of a day before the ledger had any report of it.

A file is imported when the ledger is new, was lost, or is an old copy. Its reports may still be in
the journal. Such a report moves from the opening balance to the reports, so the day's figures stay
the same and nothing counts twice.
"""

import sqlite3
from collections.abc import Iterable

from app.channels import AGGREGATE
from app.domain import ZERO, Figures, ProfitReport, day_of


def read_opening_balance(db: sqlite3.Connection, day: int) -> dict[str, Figures]:
    """Return what no report of the day accounts for: by symbol, the account as `aggregate`."""
    rows = db.execute(
        "SELECT symbol, total, unrealized, realized, converted, at FROM opening WHERE day = ?",
        (day,),
    )
    return {symbol: Figures(*map(int, figures)) for symbol, *figures in rows}


def add_opening_balance(db: sqlite3.Connection, day: int, figures: dict[str, Figures]) -> None:
    """Add the figures of an imported file, in the caller's transaction."""
    db.executemany(
        "INSERT INTO opening VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (day, symbol, *map(str, of_symbol.amounts), of_symbol.timestamp_us)
            for symbol, of_symbol in figures.items()
        ],
    )


def imported_until(db: sqlite3.Connection, day: int) -> dict[str, int]:
    """Return by symbol the time up to which an imported file contains a day's increments.

    Days of snapshots are left out: a snapshot older than the file's replaces nothing anyway.
    """
    rows = db.execute(
        "SELECT symbol, at FROM opening JOIN day USING (day) WHERE day = ? AND kind = 'increment'",
        (day,),
    )
    return dict(rows)


def subtract_from_opening_balances(db: sqlite3.Connection, reports: Iterable[ProfitReport]) -> None:
    """Subtract reports that are stored as such from now on, in the caller's transaction.

    Timestamps stay: `imported_until` depends on them.
    """
    moved: dict[tuple[int, str], Figures] = {}
    for report in reports:
        for symbol in (report.symbol, AGGREGATE):
            slot = day_of(report.timestamp_us), symbol
            moved[slot] = moved.get(slot, ZERO).plus(report)
    balances = {day: read_opening_balance(db, day) for day, _ in moved}
    for (day, symbol), figures in moved.items():
        left = balances[day].get(symbol, ZERO).minus(figures)
        # A balance that is not there, such as of an account, stays so.
        db.execute(
            "UPDATE opening SET total = ?, unrealized = ?, realized = ?, converted = ? "
            "WHERE day = ? AND symbol = ?",
            (*map(str, left.amounts), day, symbol),
        )
