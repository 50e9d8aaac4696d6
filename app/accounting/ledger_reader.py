"""The ledger beside a bridge that may be running: reading it, and tidying what was rejected."""

import fcntl
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from app.accounting.schema import (
    COLUMNS,
    FILE_NAME,
    LOCK_NAME,
    SELECT,
    SNAPSHOTS,
    Rejected,
    opening_balance_of,
    summed,
)
from app.channels import AGGREGATE
from app.domain import DAY, Figures, ProfitReport, ReportKind, day_of
from app.errors import SEE_DOCTOR, StopProgram

_PAGE = 1_000
_BY_ACCEPTANCE = (
    f"SELECT id, {COLUMNS} FROM report WHERE id > ? AND id <= ? "  # noqa: S608 - no input
    "AND +at >= ? AND +at < ? AND (?5 IS NULL OR symbol = ?5) ORDER BY id LIMIT ?"
)
_BY_TIME = (
    f"SELECT id, {COLUMNS} FROM report WHERE at >= ? AND at < ? "  # noqa: S608 - no input
    "AND (at > ? OR id > ?) AND id <= ? ORDER BY at, id LIMIT ?"
)


class Extent(NamedTuple):
    """Which rows some reports of a day are in, by their numbers, how many it are, and when."""

    first: int
    last: int
    reports: int
    begins: int
    ends: int
    """Microseconds since 1970 UTC."""


class LedgerReader:
    """The rows as they are at one moment, also while a bridge writes on. Changes nothing.

    Raises:
        StopProgram: there is no ledger in `folder`, or it cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        with _using(self._path, "read"):
            self._rows = _open_existing(self._path, "ro")

    def close(self) -> None:
        """Let go of the file."""
        self._rows.close()

    @contextmanager
    def at_one_moment(self) -> Iterator[None]:
        """What is read in this context is one state of the ledger."""
        with _using(self._path, "read"):
            self._rows.execute("BEGIN")
            try:
                yield
            finally:
                self._rows.execute("ROLLBACK")

    def damage(self, within: float) -> str | None:
        """What is wrong with the file; empty if nothing is, None if `within` seconds were too few.

        Raises:
            StopProgram: it cannot be read at all.
        """
        give_up_at = time.monotonic() + within
        self._rows.set_progress_handler(lambda: time.monotonic() > give_up_at, 10_000)
        try:
            with _using(self._path, "read"):
                ((found, *_), *_) = self._rows.execute("PRAGMA quick_check(1)").fetchall()
                return "" if found == "ok" else " ".join(str(found).split())
        except StopProgram:
            if time.monotonic() > give_up_at:
                return None
            raise
        finally:
            self._rows.set_progress_handler(None, 0)

    def journal_position(self) -> str:
        """Up to where the journal is in the ledger."""
        row = self._rows.execute("SELECT value FROM position WHERE name = 'journal'").fetchone()
        return "0-0" if row is None else str(row[0])

    def kind_of(self, day: int) -> ReportKind | None:
        """What a report of the day means; None for a day that was never begun."""
        row = self._rows.execute("SELECT kind FROM day WHERE day = ?", (day,)).fetchone()
        return None if row is None else row[0]

    def opening_balance(self, day: int) -> dict[str, Figures]:
        """What an adopted file has and no row does, with the account as `aggregate`."""
        return opening_balance_of(self._rows, day)

    def kept_from(self) -> int:
        """The first day whose reports are all there; before it some were dropped for their age."""
        row = self._rows.execute("SELECT value FROM position WHERE name = 'kept from'").fetchone()
        return 0 if row is None else int(row[0])

    def last_id(self) -> int:
        """The number of the newest report; 0 if there is none."""
        return self._rows.execute("SELECT MAX(id) FROM report").fetchone()[0] or 0

    def reports(self, day: int, after: int = 0) -> Iterator[ProfitReport]:
        """The reports of a day in the order of acceptance, from behind the one numbered `after`."""
        # The plus keeps SQLite from the index that would lead it through the whole table.
        within = "id > ? AND +at >= ? AND +at < ?" if after else "+id > ? AND at >= ? AND at < ?"
        rows = self._rows.execute(
            f"{SELECT} WHERE {within} ORDER BY {'id' if after else '+id'}",
            (after, day * DAY, (day + 1) * DAY),
        )
        return (ProfitReport(*row) for row in rows)

    def extent(self, day: int, symbol: str | None = None) -> Extent:
        """Where the reports of a day are, or those of one symbol of it."""
        row = self._rows.execute(
            "SELECT MIN(id), MAX(id), COUNT(*), MIN(at), MAX(at) FROM report "
            "WHERE at >= ? AND at < ? AND (?3 IS NULL OR symbol = ?3)",
            (day * DAY, (day + 1) * DAY, symbol),
        ).fetchone()
        return Extent(*(number or 0 for number in row))

    def paged(self, day: int, extent: Extent, symbol: str | None = None) -> Iterator[ProfitReport]:
        """The reports of an extent in the order of acceptance, a page at a time.

        Whoever takes hours over them holds nothing up: a bridge can tidy its files between pages.
        """
        after = extent.first - 1
        while True:
            span = (after, extent.last, day * DAY, (day + 1) * DAY, symbol, _PAGE)
            with _using(self._path, "read"):
                rows = self._rows.execute(_BY_ACCEPTANCE, span).fetchall()
            yield from (ProfitReport(*row[1:]) for row in rows)
            if len(rows) < _PAGE:
                return
            after = rows[-1][0]

    def by_time(self, day: int, extent: Extent) -> Iterator[ProfitReport]:
        """The reports of an extent by their own times, a page at a time."""
        at, after = day * DAY, -1
        while True:
            span = (at, (day + 1) * DAY, at, after, extent.last, _PAGE)
            with _using(self._path, "read"):
                rows = self._rows.execute(_BY_TIME, span).fetchall()
            reports = [ProfitReport(*row[1:]) for row in rows]
            yield from reports
            if len(rows) < _PAGE:
                return
            at, after = reports[-1].timestamp_us, rows[-1][0]

    def symbols(self, day: int) -> set[str]:
        """Every symbol that has a report or an opening on a day; not the account."""
        span = (day * DAY, (day + 1) * DAY)
        found = self._rows.execute(
            "SELECT DISTINCT symbol FROM report WHERE at >= ? AND at < ?", span
        )
        return ({symbol for (symbol,) in found} | self.opening_balance(day).keys()) - {AGGREGATE}

    def nearest_days(self, day: int) -> list[int]:
        """The last day before and the first day after `day` that have anything, where there are."""
        before, after = self._rows.execute(
            "SELECT MAX(before), MIN(after) FROM ("
            "SELECT (SELECT MAX(at) FROM report WHERE at < :day * :length) / :length AS before, "
            "(SELECT MIN(at) FROM report WHERE at >= (:day + 1) * :length) / :length AS after "
            "UNION ALL SELECT (SELECT MAX(day) FROM opening WHERE day < :day), "
            "(SELECT MIN(day) FROM opening WHERE day > :day))",
            {"day": day, "length": DAY},
        ).fetchone()
        return [found for found in (before, after) if found is not None]

    def sums(self, day: int, kind: ReportKind) -> dict[str, Figures]:
        """The figures of a day's symbols, added up by SQLite, without the opening balance."""
        if kind == "increment":
            return summed(self._rows, day, self.last_id())
        span = (day * DAY, (day + 1) * DAY, self.last_id())
        rows = self._rows.execute(SNAPSHOTS, span)
        return {symbol: Figures(*figures) for symbol, *figures in rows}

    def newest_days(self, oldest: int) -> dict[str, int]:
        """The newest day of each symbol, and of the account, from the day `oldest` on."""
        newest = {
            symbol: day_of(at)
            for symbol, at in self._rows.execute(
                "SELECT symbol, MAX(at) FROM report WHERE at >= ? GROUP BY symbol", (oldest * DAY,)
            )
        }
        for symbol, day in self._rows.execute(
            "SELECT symbol, MAX(day) FROM opening WHERE day >= ? GROUP BY symbol", (oldest,)
        ):
            newest[symbol] = max(day, newest.get(symbol, day))
        if newest:
            newest[AGGREGATE] = max(newest.values())
        return newest


def read_rejected(folder: Path) -> dict[int, Rejected]:
    """The messages that were not counted, by number, oldest first, also while a bridge runs.

    Raises:
        StopProgram: there is no ledger in `folder`, or it cannot be read.
    """
    path = folder / FILE_NAME
    with _using(path, "read"):
        rows = _open_existing(path, "ro")
        try:
            found = rows.execute("SELECT id, at, reason, message FROM rejected ORDER BY id")
            return {number: Rejected(*row) for number, *row in found}
        finally:
            rows.close()


def delete_rejected(folder: Path, numbers: Iterable[int]) -> None:
    """Strike messages off the list of those that were not counted, also while a bridge runs.

    One short transaction: a bridge that wants to write at that moment waits for it, and it for
    the bridge. A number that is not there is nothing to do.

    Raises:
        StopProgram: there is no ledger in `folder`, or it cannot be written.
    """
    path = folder / FILE_NAME
    with _using(path, "written"):
        rows = _open_existing(path, "rw")
        try:
            rows.execute("BEGIN IMMEDIATE")
            rows.executemany("DELETE FROM rejected WHERE id = ?", [(n,) for n in numbers])
            rows.execute("COMMIT")
        finally:
            rows.close()


@contextmanager
def held_if_free(folder: Path) -> Iterator[bool]:
    """Keep every bridge off `folder` meanwhile; False, and nothing is held, if one keeps it.

    Raises:
        StopProgram: the folder cannot be written.
    """
    try:
        lock = (folder / LOCK_NAME).open("ab")
    except OSError as error:
        raise StopProgram(
            f"PROFIT_BASE_PATH={folder} cannot be used: {error.strerror}: "
            "let its user write there, or correct it"
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = True
        except OSError:
            free = False
        yield free


def _open_existing(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, isolation_level=None)


@contextmanager
def _using(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if not path.exists():
            raise StopProgram(
                f"there is no ledger {path}: run it where the bridge runs, "
                "or correct PROFIT_BASE_PATH"
            ) from None
        raise StopProgram(f"the ledger {path} cannot be {what}: {error}{SEE_DOCTOR}") from None
