"""The list of rejected messages, which an operator reads, resends or clears."""

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from app.accounting.ledger_file import open_existing

REJECTED_LIMIT = 1_000
"""How many rejected messages the list holds; the oldest are dropped."""


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
            "DELETE FROM rejected WHERE id <= (SELECT MAX(id) FROM rejected) - ?",
            (REJECTED_LIMIT,),
        )


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
