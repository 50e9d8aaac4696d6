"""The ledger: every accepted report, once, on disk before anything about it is published.

SQLite in WAL mode with `synchronous=FULL`: a commit that returned survives a power cut. There is
one row per report; figures, daily files and messages can be made again from the rows.
"""

import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import Enum
from functools import cache
from itertools import chain
from pathlib import Path

from app.accounting.day_figures import read_day_figures
from app.accounting.ledger_file import FILE_NAME, try_lock
from app.accounting.migration import bring_up_to_date
from app.accounting.opening_balance import (
    add_opening_balance,
    imported_until,
    subtract_from_opening_balances,
)
from app.accounting.rejected import Rejected, add_missing, add_rejected
from app.accounting.repetitions import (
    NOT_KNOWN,
    Recorded,
    conflict_reason,
    find_report,
    is_other_publication,
    note_repetitions,
)
from app.accounting.schema import COLUMNS, SELECT_REPORT, WrongVersion, read_position
from app.domain import BEHIND_LIMIT, DAY, DayTotals, Figures, ProfitReport, ReportKind, day_of
from app.errors import SEE_DOCTOR, StopProgram
from app.messaging import Dropped

_ROWS_PER_INSERT = 50
"""Half the cost of one INSERT for each row; more rows would gain nothing."""

_BUSY_TIMEOUT = 0.5
"""Seconds to wait for another writer: a stop may have to wait several times, and has 5 s."""

ReceivedReport = tuple[ProfitReport, bytes]
"""A report and the message it came in."""


class Outcome(Enum):
    """What became of a report."""

    COUNTED = "counted"
    IMPORTED = "imported"
    """Recorded; its amounts were in the opening balance already, and no figure changed."""
    REPEATED = "repeated"
    CONFLICT = "conflict"
    """A report with the same identity and other amounts is recorded already."""


class Ledger:
    """The rows on disk, held by one process at a time.

    Raises:
        WrongSetting: The folder cannot be written.
        StopProgram: The file cannot be used, or another bridge holds it.
    """

    def __init__(self, folder: Path) -> None:
        lock = try_lock(folder)
        if lock is None:
            raise StopProgram(
                f"another bridge already uses {folder}: stop it, or set another PROFIT_BASE_PATH"
            )
        self._lock = lock
        path = folder / FILE_NAME
        try:
            self._db = sqlite3.connect(path, timeout=_BUSY_TIMEOUT, isolation_level=None)
            self._db.execute("PRAGMA synchronous=FULL")
            bring_up_to_date(self._db, path)
            self._db.execute("PRAGMA journal_mode=WAL")
            self.published = self._published_on_disk = int(
                read_position(self._db, "published") or 0
            )
            """The id of the last report that was published."""
            (last_id,) = self._db.execute("SELECT MAX(id) FROM report").fetchone()
            self._last_id = max(last_id or 0, self.published)
            self.journal_position = read_position(self._db, "journal") or "0-0"
            self.rebuilding_until = read_position(self._db, "begun") or None
            """The end of the journal when rebuilding started; None once it is read up to there."""
            self._migrated_until = self._read_migrated_until()
            self.identity = read_position(self._db, "identity") or self._new_identity()
            """A random name of this ledger and its copies, by which bridges tell each other apart.
            """
        except WrongVersion:
            self._lock.close()
            raise
        except (sqlite3.Error, OSError) as error:
            self._lock.close()
            raise StopProgram(f"the ledger {path} cannot be used: {error}{SEE_DOCTOR}") from None

    def close(self) -> None:
        """Close the file and release the lock. What was recorded is on disk already."""
        with suppress(sqlite3.Error):
            # A checkpoint is optional here, and must not wait for readers.
            self._db.execute("PRAGMA busy_timeout = 0")
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()
        self._lock.close()

    def record(
        self,
        reports: Sequence[ReceivedReport],
        rejected: Iterable[Rejected],
        journal_position: str,
        now: str,
        imported: Sequence[ReceivedReport] = (),
        dropped: Dropped | None = None,
    ) -> list[Outcome]:
        """Put one batch on disk, in one transaction.

        Args:
            reports: Reports to count.
            rejected: Messages that could not be read.
            journal_position: The position up to which the journal is recorded with this batch.
            now: The current time in ISO 8601, for conflicts.
            imported: Reports that the opening balances already contain. What was recorded before
                must have been published.
            dropped: Reports that the journal dropped before they were read.

        Returns:
            One outcome for each report, those of `imported` first.

        Raises:
            sqlite3.Error: Nothing of the batch was recorded.
        """
        last_id, published = self._last_id, self.published
        moved: list[Outcome] = []
        if self._migrated_until and any(
            report.timestamp_us <= self._migrated_until for report, _ in reports
        ):
            reports = [(self._as_migrated(report), message) for report, message in reports]
        with self._transaction():
            if imported:
                moved, last_id = self._move_from_opening_balances(imported, last_id)
                # No figure changed, so a restart must not publish them.
                published = last_id
            inserted, last_id = self._insert(reports, last_id)
            outcomes = moved + inserted
            conflicts = self._compare_with_recorded([*imported, *reports], outcomes, now)
            add_rejected(self._db, [*rejected, *conflicts])
            if dropped:
                add_missing(self._db, dropped, now)
            self._set_position("journal", journal_position)
            # The mark of what was published before this batch costs no sync of its own here.
            self._set_position("published", str(published))
        self.journal_position = journal_position
        self.published = self._published_on_disk = published
        self._last_id = last_id
        return outcomes

    def mark_published(self) -> None:
        """Mark all recorded reports as published; on disk with the next batch or sync."""
        self.published = self._last_id

    def sync_published(self) -> None:
        """Write the mark to disk now, so that a restart publishes nothing again."""
        if self._published_on_disk != self.published:
            with suppress(sqlite3.Error):
                self._set_position("published", str(self.published))
                self._published_on_disk = self.published

    def unpublished(self) -> list[ProfitReport]:
        """Return the reports that are not marked as published, in the order of acceptance."""
        rows = self._db.execute(SELECT_REPORT + "WHERE id > ? ORDER BY id", (self.published,))
        return [ProfitReport(*row) for row in rows]

    def open_day(self, day: int, kind: ReportKind) -> ReportKind:
        """Set the kind of a day's reports, unless the day has reports already.

        Returns:
            The kind of the day.
        """
        has_reports = self._db.execute(
            "SELECT 1 FROM report WHERE at >= ? AND at < ? LIMIT 1", (day * DAY, (day + 1) * DAY)
        ).fetchone()
        if has_reports:
            return self._kind_of(day)
        self._db.execute("INSERT OR REPLACE INTO day VALUES (?, ?)", (day, kind))
        return kind

    def newest_day(self) -> int:
        """Return the day of the newest report; 0 without any."""
        (newest,) = self._db.execute("SELECT MAX(at) FROM report").fetchone()
        return day_of(newest or 0)

    def prune(self, first_day: int, limit: int) -> int:
        """Delete up to `limit` published reports of days before `first_day`; return how many.

        The file does not shrink; new rows reuse the space.

        Raises:
            sqlite3.Error: Nothing was deleted.
        """
        with self._transaction():
            deleted = self._db.execute(
                "DELETE FROM report WHERE id IN "
                "(SELECT id FROM report WHERE at < ? AND id <= ? LIMIT ?)",
                (first_day * DAY, self._published_on_disk, limit),
            ).rowcount
            if deleted:
                # No day that is partly deleted may pass for a complete one.
                self._set_position("kept from", str(first_day))
                self._db.execute("DELETE FROM opening WHERE day < ?", (first_day,))
                self._db.execute(
                    "DELETE FROM repetition WHERE report NOT IN (SELECT id FROM report)"
                )
        return deleted

    def is_empty(self, day: int) -> bool:
        """Whether there is neither a report nor an opening balance for the day."""
        return not self._db.execute(
            "SELECT EXISTS (SELECT 1 FROM report WHERE at >= ? AND at < ?) "
            "OR EXISTS (SELECT 1 FROM opening WHERE day = ?)",
            (day * DAY, (day + 1) * DAY, day),
        ).fetchone()[0]

    @property
    def is_new(self) -> bool:
        """Whether nothing was ever counted, and no rebuilding was started either."""
        return (
            read_position(self._db, "begun") is None and read_position(self._db, "journal") is None
        )

    def start_rebuilding(self, journal_end: str) -> None:
        """Note that files imported from now on may contain the journal up to its present end."""
        self._set_position("begun", journal_end)
        self.rebuilding_until = journal_end

    def finish_rebuilding(self) -> None:
        """Note that the journal is read up to `rebuilding_until`."""
        self.rebuilding_until = None
        # If this fails, the next start reads that part of the journal again, which changes nothing.
        with suppress(sqlite3.Error):
            self._set_position("begun", "")

    def import_opening_balance(self, day: int, figures: dict[str, Figures]) -> None:
        """Make a daily file's figures, by symbol and for `aggregate`, the day's opening balance."""
        with self._transaction():
            add_opening_balance(self._db, day, figures)

    def imported_until(self, day: int) -> dict[str, int]:
        """Return by symbol the time up to which an imported file contains a day's increments."""
        return imported_until(self._db, day)

    def day_totals(self, day: int, kind: ReportKind) -> DayTotals:
        """Return the totals of a day, of the reports that were published."""
        return DayTotals(kind, read_day_figures(self._db, day, kind, self.published))

    def _move_from_opening_balances(
        self, imported: Sequence[ReceivedReport], last_id: int
    ) -> tuple[list[Outcome], int]:
        """Insert reports, and subtract the new ones from the opening balances."""
        outcomes, last_id = self._insert(imported, last_id)
        new = [
            report
            for (report, _), outcome in zip(imported, outcomes, strict=True)
            if outcome is Outcome.COUNTED
        ]
        subtract_from_opening_balances(self._db, new)
        return [Outcome.IMPORTED if one is Outcome.COUNTED else one for one in outcomes], last_id

    def _insert(self, reports: Sequence[ReceivedReport], last_id: int) -> tuple[list[Outcome], int]:
        """Insert those reports that are new; return the outcomes, and the id of the last row."""
        outcomes: list[Outcome] = []
        for start in range(0, len(reports), _ROWS_PER_INSERT):
            rows = [report for report, _ in reports[start : start + _ROWS_PER_INSERT]]
            inserted = self._db.execute(_insert_of(len(rows)), tuple(chain.from_iterable(rows)))
            if inserted.rowcount == len(rows):
                outcomes += [Outcome.COUNTED] * len(rows)
            else:
                outcomes += self._outcomes(rows, last_id)
            if inserted.rowcount:
                last_id = inserted.lastrowid or last_id
        return outcomes, last_id

    def _outcomes(self, reports: Sequence[ProfitReport], last_id: int) -> list[Outcome]:
        """Return what became of reports of which not all were new: the rows after `last_id` are."""
        rows = self._db.execute(SELECT_REPORT + "WHERE id > ?", (last_id,))
        new = {ProfitReport(*row) for row in rows}
        outcomes = []
        for report in reports:
            if report in new:
                new.remove(report)
                outcomes.append(Outcome.COUNTED)
            else:
                outcomes.append(Outcome.REPEATED)
        return outcomes

    def _read_migrated_until(self) -> int:
        """Return up to which time a report may be one that an older program recorded; 0: none."""
        until = int(read_position(self._db, "migrated until") or 0)
        (newest,) = self._db.execute("SELECT MAX(at) FROM report").fetchone()
        too_old = until and newest is not None and day_of(newest - until) > BEHIND_LIMIT.days
        return 0 if too_old else until

    def _as_migrated(self, report: ProfitReport) -> ProfitReport:
        """Return a report as an older program recorded it, if it did.

        It knew no ids and no more than microseconds. A spool may send such a report again.
        """
        if report.timestamp_us > self._migrated_until or not report.key:
            return report
        without = report._replace(key="")
        found = find_report(self._db, without)
        was_counted = (
            found is not None
            and found.report.publication == NOT_KNOWN
            and found.report.amounts == report.amounts
        )
        return without if was_counted else report

    def _compare_with_recorded(
        self, received: Sequence[ReceivedReport], outcomes: list[Outcome], now: str
    ) -> list[Rejected]:
        """Note repetitions, and find in `outcomes` those that are conflicts; return the latter."""
        if outcomes.count(Outcome.COUNTED) == len(outcomes):
            return []
        conflicts = []
        repeated = []
        for index, outcome in enumerate(outcomes):
            if outcome is not Outcome.REPEATED:
                continue
            report, message = received[index]
            row, recorded = self._recorded(report)
            if report.amounts != recorded.amounts:
                outcomes[index] = Outcome.CONFLICT
                kind = self._kind_of(day_of(recorded.timestamp_us))
                conflicts.append(Rejected(now, conflict_reason(report, recorded, kind), message))
            elif is_other_publication(report, recorded):
                repeated.append(row)
        if repeated:
            note_repetitions(self._db, repeated, now)
        return conflicts

    def _recorded(self, report: ProfitReport) -> Recorded:
        recorded = find_report(self._db, report)
        if recorded is None:
            raise sqlite3.IntegrityError(f"nothing has the identity of {report}")
        return recorded

    def _kind_of(self, day: int) -> ReportKind:
        kind: ReportKind
        (kind,) = self._db.execute("SELECT kind FROM day WHERE day = ?", (day,)).fetchone()
        return kind

    def _new_identity(self) -> str:
        identity = uuid.uuid4().hex[:12]
        # A bridge whose disk is full starts all the same.
        with suppress(sqlite3.Error):
            self._set_position("identity", identity)
        return identity

    def _set_position(self, name: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO position VALUES (?, ?)", (name, value))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Have all of it on disk at the end, or nothing."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            # A failed COMMIT may have ended the transaction already.
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise


_PLACES = f"({', '.join('?' * len(ProfitReport._fields))})"


@cache
def _insert_of(rows: int) -> str:
    return (
        f"INSERT OR IGNORE INTO report ({COLUMNS}) VALUES "  # noqa: S608 - placeholders only
        + ", ".join([_PLACES] * rows)
    )
