"""The list of reports that were not counted, which an operator reads, resends or clears.

It has the rejected messages and, in one entry, the reports that the journal dropped before they
were read. That entry stays until an operator clears it.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from app.accounting.ledger_file import open_existing
from app.domain import to_text
from app.messaging import Dropped

REJECTED_LIMIT = 1_000
"""How many rejected messages the list holds; the oldest are dropped."""

MISSING = 0
"""The id of the entry for the reports that the journal dropped."""


class Rejected(NamedTuple):
    """A message that was not counted."""

    at: str
    """When it was rejected, in ISO 8601."""
    reason: str
    message: bytes


def add_rejected(db: sqlite3.Connection, rejected: Sequence[Rejected]) -> None:
    """Add messages to the list, in the caller's transaction."""
    if rejected:
        db.executemany("INSERT INTO rejected (at, reason, message) VALUES (?, ?, ?)", rejected)
        db.execute(
            "DELETE FROM rejected WHERE id <= (SELECT MAX(id) FROM rejected) - ? AND id <> ?",
            (REJECTED_LIMIT, MISSING),
        )


def add_missing(db: sqlite3.Connection, dropped: Dropped, now: str) -> None:
    """Add reports that the journal dropped to their entry, in the caller's transaction."""
    row = db.execute("SELECT message FROM rejected WHERE id = ?", (MISSING,)).fetchone()
    if row:
        before = Dropped(**msgspec.json.decode(row[0]))
        is_known = None not in (dropped.reports, before.reports)
        dropped = Dropped(
            (dropped.reports or 0) + (before.reports or 0) if is_known else None,
            min(dropped.since, before.since),
            max(dropped.until, before.until),
        )
    entry = Rejected(now, missing_reason(dropped), msgspec.json.encode(dropped._asdict()))
    db.execute("INSERT OR REPLACE INTO rejected VALUES (?, ?, ?, ?)", (MISSING, *entry))


def missing_reason(dropped: Dropped) -> str:
    """Return what is missing, why, and what to do, for people."""
    since = f"between {to_text(1000 * dropped.since)} and" if dropped.since else "up to"
    until = to_text(1000 * dropped.until)
    number = "an unknown number of" if dropped.reports is None else dropped.reports
    return (
        f"missing: the journal dropped {number} reports journaled {since} {until} "
        "before they were counted. Have their bots send them again (the same report counts once), "
        "raise JOURNAL_LENGTH for the bots, then clear this entry"
    )


def missing_reports(folder: Path) -> tuple[int, str]:
    """Return how many reports the journal dropped, at least, and what to say; 0 if none.

    A bridge may be running.

    Raises:
        StopProgram: There is no ledger in `folder`, or it cannot be read.
    """
    entry = read_rejected(folder).get(MISSING)
    if entry is None:
        return 0, ""
    return msgspec.json.decode(entry.message)["reports"] or 1, entry.reason


def read_rejected(folder: Path) -> dict[int, Rejected]:
    """Return the rejected messages by id, oldest first. A bridge may be running.

    Raises:
        StopProgram: There is no ledger in `folder`, or it cannot be read.
    """
    with open_existing(folder, "ro") as db:
        rows = db.execute("SELECT id, at, reason, message FROM rejected ORDER BY id")
        return {number: Rejected(*row) for number, *row in rows}


def delete_rejected(folder: Path, numbers: Iterable[int]) -> None:
    """Delete messages from the list, and ignore ids that are not in it. A bridge may be running.

    Raises:
        StopProgram: There is no ledger in `folder`, or it cannot be written.
    """
    with open_existing(folder, "rw") as db:
        # One short transaction, since a bridge that wants to write waits for its end.
        db.execute("BEGIN IMMEDIATE")
        db.executemany("DELETE FROM rejected WHERE id = ?", [(number,) for number in numbers])
        db.execute("COMMIT")
