"""The tables of the ledger.

Ledgers that exist have these tables, so their names stay as they were when an imported daily file
was said to be "adopted" as the day's "opening": `opening` holds opening balances, and `at` is
what the code calls `timestamp_us`. In `position`, `begun` is `Ledger.rebuilding_until` and `kept
from` is `LedgerReader.complete_from`.
"""

import sqlite3

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
CREATE TABLE IF NOT EXISTS opening (       -- figures of imported files that are not in `report`
    day INTEGER NOT NULL,
    symbol TEXT NOT NULL,                  -- 'aggregate' for the account
    total INTEGER NOT NULL,
    unrealized INTEGER NOT NULL,
    realized INTEGER NOT NULL,
    converted INTEGER NOT NULL,
    at INTEGER NOT NULL,                   -- the timestamp of the file's figures
    PRIMARY KEY (day, symbol)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rejected (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,                      -- ISO 8601
    reason TEXT NOT NULL,
    message BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS position (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""

COLUMNS = "symbol, sender, at, total, unrealized, realized, converted"
"""The columns of a report, in the order of the fields of ProfitReport."""

SELECT_REPORT = f"SELECT {COLUMNS} FROM report "  # noqa: S608 - constants only


def read_position(db: sqlite3.Connection, name: str) -> str | None:
    """Return a value of the `position` table; None if it was never set."""
    row = db.execute("SELECT value FROM position WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])
