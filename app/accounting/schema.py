"""What is in the ledger's file, and how it is asked: by who writes it, and by who reads beside."""

import sqlite3
from typing import NamedTuple

from app.domain import DAY, MILLIONTHS, Figures

FILE_NAME = "ledger.sqlite3"
LOCK_NAME = FILE_NAME + ".lock"

SCHEMA = """
CREATE TABLE IF NOT EXISTS report (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- in the order of acceptance
    symbol TEXT NOT NULL,
    sender TEXT NOT NULL,
    at INTEGER NOT NULL,                   -- microseconds since 1970 UTC
    total INTEGER NOT NULL,                -- millionths, like the other amounts
    unrealized INTEGER NOT NULL,
    realized INTEGER NOT NULL,
    converted INTEGER NOT NULL,
    UNIQUE (at, symbol, sender)            -- time first: new rows go to the end of the index
);
CREATE TABLE IF NOT EXISTS day (
    day INTEGER PRIMARY KEY,               -- days since 1970-01-01
    kind TEXT NOT NULL                     -- increment or snapshot
);
CREATE TABLE IF NOT EXISTS opening (       -- what an adopted daily file has and no row here does
    day INTEGER NOT NULL,
    symbol TEXT NOT NULL,                  -- with the account as 'aggregate'
    total INTEGER NOT NULL,
    unrealized INTEGER NOT NULL,
    realized INTEGER NOT NULL,
    converted INTEGER NOT NULL,
    at INTEGER NOT NULL,                   -- of the file's figures
    PRIMARY KEY (day, symbol)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rejected (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    reason TEXT NOT NULL,
    message BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS position (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""

COLUMNS = "symbol, sender, at, total, unrealized, realized, converted"
"""Of a report, in the order of its fields."""

SELECT = f"SELECT {COLUMNS} FROM report "  # noqa: S608 - nothing that comes from outside
# Split at the unit, so that no day, however absurd, overflows SQLite's 64-bit sums.
_INCREMENTS = """
SELECT symbol,
       SUM(total / 1000000), SUM(total % 1000000),
       SUM(unrealized / 1000000), SUM(unrealized % 1000000),
       SUM(realized / 1000000), SUM(realized % 1000000),
       SUM(converted / 1000000), SUM(converted % 1000000),
       MAX(at)
FROM report WHERE at >= ? AND at < ? AND id <= ? GROUP BY symbol
"""
SNAPSHOTS = (
    "SELECT symbol, total, unrealized, realized, converted, at FROM report "
    "WHERE at >= ? AND at < ? AND id <= ? ORDER BY at, id"
)


class Rejected(NamedTuple):
    """A message that was not counted."""

    at: str
    reason: str
    message: bytes


def opening_balance_of(rows: sqlite3.Connection, day: int) -> dict[str, Figures]:
    """What an adopted file has and no row does, with the account as `aggregate`."""
    found = rows.execute(
        "SELECT symbol, total, unrealized, realized, converted, at FROM opening WHERE day = ?",
        (day,),
    )
    return {symbol: Figures(*figures) for symbol, *figures in found}


def summed(rows: sqlite3.Connection, day: int, up_to: int) -> dict[str, Figures]:
    """The sums of a day's increments by symbol, without the opening_balance.

    Args:
        rows: of the ledger.
        day: counted from 1970-01-01.
        up_to: the number of the last report that counts.
    """
    sums = {}
    for symbol, *halves, at in rows.execute(_INCREMENTS, (day * DAY, (day + 1) * DAY, up_to)):
        amounts = (u * MILLIONTHS + m for u, m in zip(halves[::2], halves[1::2], strict=True))
        sums[symbol] = Figures(*(*amounts, at))
    return sums
