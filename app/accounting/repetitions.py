"""Reports whose identity is recorded already: they repeat a report, or contradict it.

A repetition changes nothing. It is noted, so that an operator can see it, unless it is another
delivery of the very publication that was counted: two fills that look alike are a loss that no sum
shows.
"""

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from app.accounting.ledger_file import open_existing
from app.accounting.schema import COLUMNS
from app.domain import FIELDS, ID, OF_ITS_OWN, ProfitReport, ReportKind, exact_text

REPETITIONS_LIMIT = 1_000
"""How many reports the list of repetitions names; those that were repeated longest ago give way."""

NOT_KNOWN = 0
"""The publication of a report that an older program recorded."""

_SELECT = f"SELECT id, {COLUMNS} FROM report WHERE "  # noqa: S608 - constants only
_BY_TIME = _SELECT + "at = ? AND symbol = ? AND sender = ? AND key = ?"
_BY_ID = _SELECT + f"key = ? AND key >= '{ID}' AND symbol = ? AND sender = ?"


class Recorded(NamedTuple):
    """A report in the ledger."""

    row: int
    report: ProfitReport


class Repetition(NamedTuple):
    """A counted report that came again and was not counted again."""

    report: ProfitReport
    times: int
    """How often it came again."""
    counted: int
    """How often an operator had it counted after all."""
    since: str
    """When it first came again, in ISO 8601."""
    last: str
    """When it last did."""

    @property
    def open(self) -> int:
        """How often it came again and was not counted."""
        return self.times - self.counted

    @property
    def open_text(self) -> str:
        """The same in words."""
        return "once" if self.open == 1 else f"{self.open:,} times"


def find_report(db: sqlite3.Connection, report: ProfitReport) -> Recorded | None:
    """Return the recorded report with the identity of `report`."""
    symbol, sender, timestamp_us = report[:3]
    if report.fill_id:
        row = db.execute(_BY_ID, (report.key, symbol, sender)).fetchone()
    else:
        row = db.execute(_BY_TIME, (timestamp_us, symbol, sender, report.key)).fetchone()
    return None if row is None else Recorded(row[0], ProfitReport(*row[1:]))


def is_other_publication(report: ProfitReport, recorded: ProfitReport) -> bool:
    """Return whether a bot published `report` anew, rather than that it was delivered again."""
    if report.publication == OF_ITS_OWN:
        return True
    return recorded.publication not in {report.publication, NOT_KNOWN}


def conflict_reason(report: ProfitReport, recorded: ProfitReport, kind: ReportKind) -> str:
    """Return why a report is rejected that has the identity of another, and other amounts."""
    differences = (
        f"{name} {exact_text(ours - theirs)}"
        for name, ours, theirs in zip(FIELDS, report.amounts, recorded.amounts, strict=True)
        if ours != theirs
    )
    by_id = f" with the id {report.fill_id!r}" if report.fill_id else ""
    another_id = "an id of its own" if by_id else "an id"
    correction = (
        "report the difference, at a time of its own"
        if kind == "increment"
        else "report it at a newer time"
    )
    return (
        f"conflict: {report.symbol} of {recorded.time_text}{by_id} from {report.sender!r} is "
        f"counted with other amounts (this minus that: {', '.join(differences)}). If this is "
        f"another fill, send it with {another_id}; if it corrects that one, {correction}; if it "
        "is a mistake, clear it"
    )


def note_repetitions(db: sqlite3.Connection, rows: Iterable[int], now: str) -> None:
    """Note that reports came again, in the caller's transaction.

    Args:
        db: The ledger.
        rows: The ids of the recorded reports.
        now: The current time in ISO 8601.
    """
    db.executemany(
        "INSERT INTO repetition (report, times, since, last) VALUES (?1, 1, ?2, ?2) "
        "ON CONFLICT (report) DO UPDATE SET times = times + 1, last = excluded.last",
        [(row, now) for row in rows],
    )
    db.execute(
        "DELETE FROM repetition WHERE report NOT IN "
        "(SELECT report FROM repetition ORDER BY last DESC, report DESC LIMIT ?)",
        (REPETITIONS_LIMIT,),
    )


def repetitions(db: sqlite3.Connection) -> dict[int, Repetition]:
    """Return what came again and waits for an operator, by the row of the report."""
    rows = db.execute(
        f"SELECT times, counted, since, last, id, {COLUMNS} "  # noqa: S608 - constants only
        "FROM repetition JOIN report ON report.id = repetition.report "
        "WHERE times > counted ORDER BY id"
    )
    return {row[4]: Repetition(ProfitReport(*row[5:]), *row[:4]) for row in rows}


def read_repetitions(folder: Path) -> dict[int, Repetition]:
    """Return the same from the ledger in `folder`. A bridge may be running.

    Raises:
        StopProgram: There is no ledger in `folder`, or it cannot be read.
    """
    with open_existing(folder, "ro") as db:
        return repetitions(db)


def settle_repetition(folder: Path, row: int, *, counted: bool) -> None:
    """Note that an operator had a repetition counted once, or clear it. A bridge may be running.

    Raises:
        StopProgram: There is no ledger in `folder`, or it cannot be written.
    """
    change = "UPDATE repetition SET counted = counted + 1" if counted else "DELETE FROM repetition"
    with open_existing(folder, "rw") as db:
        db.execute(f"{change} WHERE report = ?", (row,))
