"""The tables of the ledger.

Their names stay as they were when an imported daily file was said to be "adopted" as the day's
"opening": `opening` holds opening balances, and `at` is what the code calls `timestamp_us`. In
`position`, `begun` is `Ledger.rebuilding_until`, `kept from` is `LedgerReader.complete_from`, and
`migrated until` is the newest time of a report that was identified by microseconds alone.
"""

import sqlite3

from app.errors import StopProgram

VERSION = 1
"""The version of the tables, kept in the file as `user_version`.

- 0: amounts are in millionths.
- 1: amounts are in atoms. More digits of the time, or an id, may identify a report. Repetitions.
"""

TABLES = """
CREATE TABLE IF NOT EXISTS report (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- in the order of acceptance
    symbol TEXT NOT NULL,
    sender TEXT NOT NULL,
    at INTEGER NOT NULL,                   -- microseconds since 1970 UTC
    total INTEGER NOT NULL,                -- atoms, like the other amounts
    unrealized INTEGER NOT NULL,
    realized INTEGER NOT NULL,
    converted INTEGER NOT NULL,
    key TEXT NOT NULL,                     -- as in ProfitReport, like the next
    publication INTEGER NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS report_time     -- time first: new rows go to the end
    ON report (at, symbol, sender, key);
CREATE UNIQUE INDEX IF NOT EXISTS report_fill_id  -- an id identifies a fill at any time
    ON report (key, symbol, sender) WHERE key >= '=';
CREATE TABLE IF NOT EXISTS repetition (    -- reports that came again, and did not count again
    report INTEGER PRIMARY KEY,            -- the id of the counted report
    times INTEGER NOT NULL,                -- how often it came again
    counted INTEGER NOT NULL DEFAULT 0,    -- how often an operator had it counted after all
    since TEXT NOT NULL,                   -- when it first came again, in ISO 8601
    last TEXT NOT NULL                     -- when it last did
);
CREATE TABLE IF NOT EXISTS day (
    day INTEGER PRIMARY KEY,               -- days since 1970-01-01
    kind TEXT NOT NULL                     -- increment or snapshot
);
CREATE TABLE IF NOT EXISTS opening (       -- figures of imported files that are not in `report`
    day INTEGER NOT NULL,
    symbol TEXT NOT NULL,                  -- 'aggregate' for the account
    total TEXT NOT NULL,                   -- as text, because a sum may exceed 64 bits
    unrealized TEXT NOT NULL,
    realized TEXT NOT NULL,
    converted TEXT NOT NULL,
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

COLUMNS = "symbol, sender, at, total, unrealized, realized, converted, key, publication"
"""The columns of a report, in the order of the fields of ProfitReport."""

SELECT_REPORT = f"SELECT {COLUMNS} FROM report "  # noqa: S608 - constants only


class WrongVersion(StopProgram):
    """The file is no ledger, or a ledger of another version than this program's.

    Args:
        found: What the file is.
        fix: What to do about it.
    """

    def __init__(self, found: str, fix: str) -> None:
        super().__init__(found, fix)
        self.found = found
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.found}: {self.fix}"


def read_version(db: sqlite3.Connection) -> int | None:
    """Return the version of a ledger; None for a file without any table.

    Raises:
        WrongVersion: The file is of a newer version, or no ledger.
        sqlite3.Error: The file cannot be read.
    """
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise WrongVersion(
            f"the ledger {_path_of(db)} is of version {version}, newer than this program, which "
            f"knows version {VERSION}",
            "use the program that wrote it, or a later one",
        )
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if tables and "report" not in tables:
        raise WrongVersion(
            f"{_path_of(db)} is a database of another program, and no ledger",
            "correct PROFIT_BASE_PATH, or move the file away",
        )
    return version if tables else None


def check_version(db: sqlite3.Connection) -> None:
    """Check that a ledger can be read and written as it is.

    Raises:
        WrongVersion: It is of another version.
        sqlite3.Error: The file cannot be read.
    """
    version = read_version(db)
    if version != VERSION:
        raise WrongVersion(
            f"the ledger {_path_of(db)} is of version {version or 0}, older than this program, "
            f"which needs version {VERSION}",
            "start the bridge of this program, which brings it up to date",
        )


def _path_of(db: sqlite3.Connection) -> str:
    ((_, _, path), *_) = db.execute("PRAGMA database_list").fetchall()
    return str(path)


def read_position(db: sqlite3.Connection, name: str) -> str | None:
    """Return a value of the `position` table; None if it was never set."""
    row = db.execute("SELECT value FROM position WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])
