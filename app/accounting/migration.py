"""Bringing the ledger of an older program up to date.

It happens in one transaction, so a ledger is always wholly of one version, whenever the program is
killed. A copy of the old ledger stays beside it.
"""

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

import structlog

from app.accounting.schema import TABLES, VERSION, read_version

log = structlog.stdlib.get_logger(__name__)

# `opening` is missing if that program was killed while it created the ledger. The ids of reports
# go on where they were, even if the last ones have been pruned.
_FROM_0 = f"""
CREATE TABLE IF NOT EXISTS opening (day, symbol, total, unrealized, realized, converted, at);
ALTER TABLE report RENAME TO report_0;
ALTER TABLE opening RENAME TO opening_0;
{TABLES}
INSERT INTO report
    SELECT id, symbol, sender, at, total * 100, unrealized * 100, realized * 100, converted * 100,
           '', 0
    FROM report_0 ORDER BY id;
INSERT INTO opening
    SELECT day, symbol, total || '00', unrealized || '00', realized || '00', converted || '00', at
    FROM opening_0;
DELETE FROM sqlite_sequence WHERE name = 'report';
INSERT INTO sqlite_sequence SELECT 'report', seq FROM sqlite_sequence WHERE name = 'report_0';
INSERT OR REPLACE INTO position
    SELECT 'migrated until', at FROM report_0 ORDER BY at DESC LIMIT 1;
DROP TABLE report_0;
DROP TABLE opening_0;
"""  # noqa: S608 - constants only

_SCRIPTS = {None: TABLES, 0: _FROM_0}
"""What makes the tables of the present version, by the version that is there."""


def bring_up_to_date(db: sqlite3.Connection, path: Path) -> None:
    """Give a ledger, or a new file, the tables of the present version.

    Args:
        db: The ledger, held by this process alone.
        path: Its file; the copy of an old ledger is made beside it.

    Raises:
        WrongVersion: The file is of a newer version, or no ledger. It is left as it is.
        sqlite3.Error: It failed, and the ledger is still of its old version.
        OSError: The copy could not be made, and the ledger is still of its old version.
    """
    version = read_version(db)
    if version == VERSION:
        return
    if version is not None:
        copy = copy_of(path, version)
        log.info("ledger_migrating", version=version, to=VERSION, copy=copy)
        _copy(db, copy)
    db.executescript(
        f"BEGIN IMMEDIATE; {_SCRIPTS[version]} PRAGMA user_version = {VERSION}; COMMIT;"
    )
    if version is not None:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        log.info("ledger_migrated", version=VERSION)


def copy_of(path: Path, version: int) -> Path:
    """Return where the copy of a ledger of an old version is kept."""
    return path.with_name(f"{path.name}.version-{version}")


def _copy(db: sqlite3.Connection, copy: Path) -> None:
    """Copy a ledger; a copy under its final name is complete."""
    unfinished = copy.with_name(f"{copy.name}.tmp")
    unfinished.unlink(missing_ok=True)
    try:
        db.execute("VACUUM INTO ?", (str(unfinished),))
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.replace(copy)
    except (sqlite3.Error, OSError):
        # It would occupy a disk that is full.
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise
