"""The ledger: every accepted report, once, on disk before anything is said about it.

SQLite in WAL mode with `synchronous=FULL`: a commit that returned survives a power cut. One row
per report; everything else (figures, daily files, messages) can be made again from the rows.
"""

import fcntl
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import Enum
from functools import cache
from itertools import chain
from pathlib import Path
from typing import IO

from app.accounting.schema import (
    COLUMNS,
    FILE_NAME,
    LOCK_NAME,
    SCHEMA,
    SELECT,
    SNAPSHOTS,
    Rejected,
    opening_balance_of,
    summed,
)
from app.channels import AGGREGATE
from app.domain import DAY, ZERO, DayTotals, Figures, ProfitReport, ReportKind, day_of
from app.errors import SEE_DOCTOR, StopProgram, WrongSetting

REJECTED_KEPT = 1_000
"""How many rejected messages are kept, the newest."""

_ROWS_AT_ONCE = 50
"""Rows in one INSERT: half the price of one INSERT each; more would gain nothing."""

_FREE_WITHIN = 0.5
"""Seconds to wait for somebody else who writes: a stop may have to several times, and has 5."""

_CONFLICT = "conflict: the same sender, symbol and timestamp with other amounts"


class Outcome(Enum):
    """What became of a report."""

    COUNTED = "counted"
    REPEATED = "repeated"
    CONFLICT = "conflict"


class Ledger:
    """The rows on disk, held by one process at a time.

    Raises:
        WrongSetting: the folder cannot be written.
        StopProgram: the file cannot be used, or another bridge holds it.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._lock = _exclusive(folder)
        try:
            self._rows = sqlite3.connect(self._path, _FREE_WITHIN, isolation_level=None)
            self._rows.execute("PRAGMA journal_mode=WAL")
            self._rows.execute("PRAGMA synchronous=FULL")
            self._rows.executescript(SCHEMA)
            self.published = self._published_on_disk = int(self._position("published") or 0)
            newest = self._rows.execute("SELECT MAX(id) FROM report").fetchone()[0]
            self._recorded = max(newest or 0, self.published)
            self.journal_position = self._position("journal") or "0-0"
            self.rebuilding_until = self._position("begun") or None
            """Where the journal ended when this was begun; None once it is read up to there."""
        except sqlite3.Error as error:
            self._lock.close()
            raise StopProgram(
                f"the ledger {self._path} cannot be used: {error}{SEE_DOCTOR}"
            ) from None

    def close(self) -> None:
        """Give the ledger back; what was recorded is on disk already."""
        with suppress(sqlite3.Error):
            # It would wait for everybody who reads; what it cannot do now is done some other time.
            self._rows.execute("PRAGMA busy_timeout = 0")
            self._rows.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._rows.close()
        self._lock.close()

    def record(
        self,
        reports: Sequence[tuple[ProfitReport, bytes]],
        rejected: Iterable[Rejected],
        journal_position: str,
        now: str,
        imported: int = 0,
    ) -> list[Outcome]:
        """Put one batch on disk, in one transaction.

        Args:
            reports: each with the message it came in, kept if it turns out to be a conflict.
            rejected: what could not be read.
            journal_position: up to where the journal is in this or an earlier batch.
            now: ISO time, for conflicts.
            imported: how many of the reports, the first, are in the figures of adopted files: they
                move from the opening to the rows, which changes no figure. All that was recorded
                before must have been published.

        Returns:
            One outcome per report: a report that is here already is REPEATED, with other
            amounts a CONFLICT.

        Raises:
            sqlite3.Error: nothing of the batch was recorded.
        """
        outcomes: list[Outcome] = []
        recorded, published = self._recorded, self.published
        with self._transaction():
            if imported:
                recorded = self._add(reports[:imported], outcomes, recorded)
                self._take_from_opening(
                    report
                    for (report, _), outcome in zip(reports[:imported], outcomes, strict=True)
                    if outcome is Outcome.COUNTED
                )
                # In one transaction with them: there is nothing to tell of them at any start.
                published = recorded
            recorded = self._add(reports[imported:], outcomes, recorded)
            conflicts = [
                Rejected(now, _CONFLICT, message)
                for (_, message), outcome in zip(reports, outcomes, strict=True)
                if outcome is Outcome.CONFLICT
            ]
            self._keep([*rejected, *conflicts])
            self._set_position("journal", journal_position)
            # What was published before this batch is marked here, where it costs no extra sync.
            self._set_position("published", str(published))
        self.journal_position = journal_position
        self.published = self._published_on_disk = published
        self._recorded = recorded
        return outcomes

    def mark_published(self) -> None:
        """All that was recorded has been published; on disk with the next batch or sync."""
        self.published = self._recorded

    def sync_published(self) -> None:
        """Put the mark on disk now, so that nothing is published again after a restart."""
        if self._published_on_disk != self.published:
            with suppress(sqlite3.Error):
                self._set_position("published", str(self.published))
                self._published_on_disk = self.published

    def unpublished(self) -> list[ProfitReport]:
        """Reports that were recorded and perhaps not published, in the order of acceptance."""
        rows = self._rows.execute(SELECT + "WHERE id > ? ORDER BY id", (self.published,))
        return [ProfitReport(*row) for row in rows]

    def open_day(self, day: int, kind: ReportKind) -> ReportKind:
        """Note that a day is kept as `kind` from now on, unless it was begun as the other one.

        Returns:
            The kind that the day is kept as.
        """
        started = self._rows.execute(
            "SELECT 1 FROM report WHERE at >= ? AND at < ? LIMIT 1", (day * DAY, (day + 1) * DAY)
        ).fetchone()
        if started:
            row = self._rows.execute("SELECT kind FROM day WHERE day = ?", (day,)).fetchone()
            kept: ReportKind = row[0]
            return kept
        self._rows.execute("INSERT OR REPLACE INTO day VALUES (?, ?)", (day, kind))
        return kind

    def prune(self, kept_from: int, limit: int) -> int:
        """Drop up to `limit` published reports of days before `kept_from`.

        Returns:
            How many it was. The file does not become smaller, but takes others in their place.

        Raises:
            sqlite3.Error: the disk took nothing.
        """
        with self._transaction():
            dropped = self._rows.execute(
                "DELETE FROM report WHERE id IN "
                "(SELECT id FROM report WHERE at < ? AND id <= ? LIMIT ?)",
                (kept_from * DAY, self._published_on_disk, limit),
            ).rowcount
            if dropped:
                # A day of which a part is gone must not be taken for a whole one.
                self._set_position("kept from", str(kept_from))
                self._rows.execute("DELETE FROM opening WHERE day < ?", (kept_from,))
        return dropped

    def is_empty(self, day: int) -> bool:
        """Whether there is neither a report nor an opening balance for the day."""
        return not self._rows.execute(
            "SELECT EXISTS (SELECT 1 FROM report WHERE at >= ? AND at < ?) "
            "OR EXISTS (SELECT 1 FROM opening WHERE day = ?)",
            (day * DAY, (day + 1) * DAY, day),
        ).fetchone()[0]

    @property
    def is_new(self) -> bool:
        """Whether nothing was ever counted here, and it was not begun either."""
        return self._position("begun") is None and self._position("journal") is None

    def start_rebuilding(self, journal_end: str) -> None:
        """Note that files adopted from now on may have what is in the journal up to its end."""
        self._set_position("begun", journal_end)
        self.rebuilding_until = journal_end

    def finish_rebuilding(self) -> None:
        """Note that the journal is read up to `rebuilding_until`."""
        self.rebuilding_until = None
        # Else it is looked for again at the next start, and nothing is found.
        with suppress(sqlite3.Error):
            self._set_position("begun", "")

    def import_opening_balance(self, day: int, opening_balance: dict[str, Figures]) -> None:
        """Take the figures of a file that was there before us as the day's opening balance.

        Args:
            day: counted from 1970-01-01.
            opening_balance: with the account as `aggregate`.
        """
        with self._transaction():
            self._rows.executemany(
                "INSERT INTO opening VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(day, symbol, *figures) for symbol, figures in opening_balance.items()],
            )

    def opening_balance(self, day: int) -> dict[str, Figures]:
        """What an adopted file has and no row does, with the account as `aggregate`."""
        return opening_balance_of(self._rows, day)

    def imported_until(self, day: int) -> dict[str, int]:
        """Up to which time the file that was adopted for a day of increments has reports.

        A day of snapshots needs no such care: one that is older than the file replaces nothing.
        """
        return dict(
            self._rows.execute(
                "SELECT symbol, at FROM opening JOIN day USING (day) "
                "WHERE day = ? AND kind = 'increment'",
                (day,),
            )
        )

    def day_totals(self, day: int, kind: ReportKind) -> DayTotals:
        """The figures of a day as far as they have been published."""
        totals = DayTotals(kind, self.opening_balance(day))
        span = (day * DAY, (day + 1) * DAY, self.published)
        if kind == "snapshot":
            for symbol, *amounts, at in self._rows.execute(SNAPSHOTS, span):
                totals.apply(ProfitReport(symbol, "", at, *amounts))
            return totals
        for symbol, added in summed(self._rows, day, self.published).items():
            totals.symbols[symbol] = totals.symbols.get(symbol, ZERO).plus(added)
            totals.account = totals.account.plus(added)
        return totals

    def _add(
        self, reports: Sequence[tuple[ProfitReport, bytes]], outcomes: list[Outcome], recorded: int
    ) -> int:
        """Insert reports, and append what became of each; the number of the last row then."""
        for start in range(0, len(reports), _ROWS_AT_ONCE):
            rows = [report for report, _ in reports[start : start + _ROWS_AT_ONCE]]
            inserted = self._rows.execute(_insert(len(rows)), tuple(chain.from_iterable(rows)))
            if inserted.rowcount == len(rows):
                outcomes += [Outcome.COUNTED] * len(rows)
            else:
                outcomes += self._outcomes(rows, recorded)
            if inserted.rowcount:
                recorded = inserted.lastrowid or recorded
        return recorded

    def _take_from_opening(self, reports: Iterable[ProfitReport]) -> None:
        """Make the openings smaller by what is in the rows from now on; their times stay."""
        taken: dict[tuple[int, str], Figures] = {}
        for symbol, _, at, *amounts in reports:
            for name in (symbol, AGGREGATE):
                slot = day_of(at), name
                taken[slot] = taken.get(slot, ZERO).plus(Figures(*amounts))
        self._rows.executemany(
            "UPDATE opening SET total = total - ?, unrealized = unrealized - ?, "
            "realized = realized - ?, converted = converted - ? WHERE day = ? AND symbol = ?",
            [(*figures.amounts, *slot) for slot, figures in taken.items()],
        )

    def _outcomes(self, reports: Sequence[ProfitReport], recorded: int) -> list[Outcome]:
        """What became of reports of which not all were new: those after `recorded` were."""
        new = {
            ProfitReport(*row) for row in self._rows.execute(SELECT + "WHERE id > ?", (recorded,))
        }
        outcomes = []
        for report in reports:
            if report in new:
                new.remove(report)
                outcomes.append(Outcome.COUNTED)
            else:
                outcomes.append(Outcome.REPEATED if self._same(report) else Outcome.CONFLICT)
        return outcomes

    def _same(self, report: ProfitReport) -> bool:
        row = self._rows.execute(
            SELECT + "WHERE at = ? AND symbol = ? AND sender = ?",
            (report.timestamp_us, report.symbol, report.sender),
        ).fetchone()
        return bool(row == report)

    def _keep(self, rejected: list[Rejected]) -> None:
        if rejected:
            self._rows.executemany(
                "INSERT INTO rejected (at, reason, message) VALUES (?, ?, ?)", rejected
            )
            self._rows.execute(
                "DELETE FROM rejected WHERE id <= (SELECT MAX(id) FROM rejected) - ?",
                (REJECTED_KEPT,),
            )

    def _position(self, name: str) -> str | None:
        row = self._rows.execute("SELECT value FROM position WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def _set_position(self, name: str, value: str) -> None:
        self._rows.execute("INSERT OR REPLACE INTO position VALUES (?, ?)", (name, value))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All of it is on disk at the end, or nothing."""
        self._rows.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._rows.execute("COMMIT")
        except BaseException:
            # A failed COMMIT may have ended the transaction already.
            with suppress(sqlite3.Error):
                self._rows.execute("ROLLBACK")
            raise


@cache
def _insert(rows: int) -> str:
    return (
        f"INSERT OR IGNORE INTO report ({COLUMNS}) VALUES "  # noqa: S608 - nothing but marks for values
        + ", ".join(["(?, ?, ?, ?, ?, ?, ?)"] * rows)
    )


def _exclusive(folder: Path) -> IO[bytes]:
    """Hold the folder's lock for as long as the returned file is open."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK_NAME).open("ab")
    except OSError as error:
        raise WrongSetting(
            f"PROFIT_BASE_PATH={folder} cannot be written: {error.strerror}: "
            "let its user write there, or correct it"
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise StopProgram(
            f"another bridge already keeps {folder}: stop it, or set another PROFIT_BASE_PATH"
        ) from None
    return lock
