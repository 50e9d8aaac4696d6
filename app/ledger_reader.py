"""The ledger beside a bridge that may be running: reading it, and tidying what was rejected."""

import fcntl
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from app.book import Figures
from app.channels import AGGREGATE
from app.errors import StopProgram
from app.ledger import FILE_NAME, LOCK_NAME, SELECT, SNAPSHOTS, Rejected, opening_of, summed
from app.messages import DAY, ProfitReport, ReportKind, day_of


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

    def kind_of(self, day: int) -> ReportKind | None:
        """What a report of the day means; None for a day that was never begun."""
        row = self._rows.execute("SELECT kind FROM day WHERE day = ?", (day,)).fetchone()
        return None if row is None else row[0]

    def opening(self, day: int) -> dict[str, Figures]:
        """What an adopted file has and no row does, with the account as `aggregate`."""
        return opening_of(self._rows, day)

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

    def sums(self, day: int, kind: ReportKind) -> dict[str, Figures]:
        """The figures of a day's symbols without the opening, as SQLite makes them of the rows."""
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
        raise StopProgram(f"PROFIT_BASE_PATH={folder} cannot be used: {error.strerror}") from None
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
        raise StopProgram(f"the ledger {path} cannot be {what}: {error}") from None
