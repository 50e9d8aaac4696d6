"""Reading the ledger beside a bridge that may be running."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from app.accounting.day_figures import read_day_figures
from app.accounting.ledger_file import connect_existing, explained_errors
from app.accounting.opening_balance import read_opening_balance
from app.accounting.repetitions import Repetition, find_report, repetitions
from app.accounting.schema import COLUMNS, read_position
from app.channels import AGGREGATE
from app.domain import DAY, Figures, ProfitReport, ReportKind, day_of
from app.errors import StopProgram

_PAGE = 1_000

# The plus signs keep SQLite from using the index on the time, and sorting what it finds there.
_BY_ACCEPTANCE = (
    f"SELECT id, {COLUMNS} FROM report WHERE id > ? AND id <= ? "  # noqa: S608 - constants only
    "AND +at >= ? AND +at < ? AND (?5 IS NULL OR symbol = ?5) ORDER BY id LIMIT ?"
)
_BY_TIME = (
    f"SELECT id, {COLUMNS} FROM report WHERE at >= ? AND at < ? "  # noqa: S608 - constants only
    "AND (at > ? OR id > ?) AND id <= ? ORDER BY at, id LIMIT ?"
)


class Extent(NamedTuple):
    """Where some reports of a day are: their ids, how many there are, and their times."""

    first: int
    last: int
    reports: int
    begins: int
    ends: int
    """In microseconds since 1970 UTC, as `begins`."""


class LedgerReader:
    """Reads the ledger while a bridge may write to it. Changes nothing.

    Raises:
        StopProgram: There is no ledger in `folder`, or it cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with explained_errors(folder):
            self._db = connect_existing(folder, "ro")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def at_one_moment(self) -> Iterator[None]:
        """Show one state of the ledger to everything that is read in this context."""
        with explained_errors(self._folder):
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                self._db.execute("ROLLBACK")

    def damage(self, within: float) -> str | None:
        """Check the file; return what is wrong with it, or an empty text.

        Args:
            within: Seconds after which to give up, and return None.

        Raises:
            StopProgram: The file cannot be read at all.
        """
        deadline = time.monotonic() + within
        self._db.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
        try:
            with explained_errors(self._folder):
                ((result, *_), *_) = self._db.execute("PRAGMA quick_check(1)").fetchall()
                return "" if result == "ok" else " ".join(str(result).split())
        except StopProgram:
            if time.monotonic() > deadline:
                return None
            raise
        finally:
            self._db.set_progress_handler(None, 0)

    def journal_position(self) -> str:
        """Return the position up to which the journal is recorded."""
        return read_position(self._db, "journal") or "0-0"

    def complete_from(self) -> int:
        """Return the first day that has all its reports; of earlier days some were deleted."""
        return int(read_position(self._db, "kept from") or 0)

    def kind_of(self, day: int) -> ReportKind | None:
        """Return what a report of the day means; None if the day was never opened."""
        row = self._db.execute("SELECT kind FROM day WHERE day = ?", (day,)).fetchone()
        return None if row is None else row[0]

    def opening_balance(self, day: int) -> dict[str, Figures]:
        """Return what no report of the day accounts for: by symbol, the account as `aggregate`."""
        return read_opening_balance(self._db, day)

    def figures(self, day: int, kind: ReportKind) -> dict[str, Figures]:
        """Return the day's figures, summed by SQLite: by symbol, the account as `aggregate`."""
        return read_day_figures(self._db, day, kind, self.last_id())

    def last_id(self) -> int:
        """Return the id of the newest report; 0 if there is none."""
        return self._db.execute("SELECT MAX(id) FROM report").fetchone()[0] or 0

    def find(self, report: ProfitReport) -> ProfitReport | None:
        """Return the recorded report with the identity of `report`."""
        with explained_errors(self._folder):
            recorded = find_report(self._db, report)
        return recorded.report if recorded else None

    def repetitions(self, day: int) -> dict[ProfitReport, Repetition]:
        """Return which reports of a day came again, and were not counted again."""
        found = repetitions(self._db).values()
        return {one.report: one for one in found if day_of(one.report.timestamp_us) == day}

    def extent(self, day: int, symbol: str | None = None) -> Extent:
        """Return where the reports of a day are, or those of one symbol."""
        row = self._db.execute(
            "SELECT MIN(id), MAX(id), COUNT(*), MIN(at), MAX(at) FROM report "
            "WHERE at >= ? AND at < ? AND (?3 IS NULL OR symbol = ?3)",
            (day * DAY, (day + 1) * DAY, symbol),
        ).fetchone()
        return Extent(*(number or 0 for number in row))

    def reports(
        self, day: int, *, after: int = 0, up_to: int | None = None, symbol: str | None = None
    ) -> Iterator[ProfitReport]:
        """Yield the reports of a day in the order of acceptance.

        They are read page by page, so a caller that takes hours does not keep a bridge from
        checkpointing its file.

        Args:
            day: The day.
            after: The id after which to start; a high one spares reading earlier days.
            up_to: The id of the last report; by default the last one there is.
            symbol: The only symbol to yield.
        """
        last = self.last_id() if up_to is None else up_to
        while True:
            page = (after, last, day * DAY, (day + 1) * DAY, symbol, _PAGE)
            with explained_errors(self._folder):
                rows = self._db.execute(_BY_ACCEPTANCE, page).fetchall()
            yield from (ProfitReport(*row[1:]) for row in rows)
            if len(rows) < _PAGE:
                return
            after = rows[-1][0]

    def by_time(self, day: int, extent: Extent) -> Iterator[ProfitReport]:
        """Yield the reports of an extent in the order of their timestamps, page by page."""
        timestamp_us, after = day * DAY, -1
        while True:
            page = (timestamp_us, (day + 1) * DAY, timestamp_us, after, extent.last, _PAGE)
            with explained_errors(self._folder):
                rows = self._db.execute(_BY_TIME, page).fetchall()
            reports = [ProfitReport(*row[1:]) for row in rows]
            yield from reports
            if len(rows) < _PAGE:
                return
            timestamp_us, after = reports[-1].timestamp_us, rows[-1][0]

    def nearest_days(self, day: int) -> list[int]:
        """Return the last day before and the first day after `day` that have anything."""
        before, after = self._db.execute(
            "SELECT MAX(before), MIN(after) FROM ("
            "SELECT (SELECT MAX(at) FROM report WHERE at < :day * :length) / :length AS before, "
            "(SELECT MIN(at) FROM report WHERE at >= (:day + 1) * :length) / :length AS after "
            "UNION ALL SELECT (SELECT MAX(day) FROM opening WHERE day < :day), "
            "(SELECT MIN(day) FROM opening WHERE day > :day))",
            {"day": day, "length": DAY},
        ).fetchone()
        return [one for one in (before, after) if one is not None]

    def newest_days(self, oldest: int) -> dict[str, int]:
        """Return the newest day of each symbol, and of the account, not before `oldest`."""
        newest = {
            symbol: day_of(timestamp_us)
            for symbol, timestamp_us in self._db.execute(
                "SELECT symbol, MAX(at) FROM report WHERE at >= ? GROUP BY symbol", (oldest * DAY,)
            )
        }
        for symbol, day in self._db.execute(
            "SELECT symbol, MAX(day) FROM opening WHERE day >= ? GROUP BY symbol", (oldest,)
        ):
            newest[symbol] = max(day, newest.get(symbol, day))
        if newest:
            newest[AGGREGATE] = max(newest.values())
        return newest
