"""The ledger's file on disk: its lock, and access to it beside a bridge that may be running."""

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Literal

from app.accounting.schema import WrongVersion, check_version
from app.errors import SEE_DOCTOR, StopProgram, WrongSetting

FILE_NAME = "ledger.sqlite3"


def try_lock(folder: Path) -> IO[bytes] | None:
    """Lock a folder against other bridges until the returned file is closed.

    The kernel drops the lock when the process ends, however it ends.

    Returns:
        None if another process holds the lock.

    Raises:
        WrongSetting: The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / f"{FILE_NAME}.lock").open("ab")
    except OSError as error:
        raise WrongSetting(
            f"PROFIT_BASE_PATH={folder} cannot be written: {error.strerror}: "
            "give this user write access, or correct the setting"
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    return lock


@contextmanager
def open_existing(folder: Path, mode: Literal["ro", "rw"]) -> Iterator[sqlite3.Connection]:
    """Open the ledger in `folder`, which a bridge may be using.

    Raises:
        StopProgram: There is no ledger in `folder`, or using it failed.
    """
    with explained_errors(folder), closing(connect_existing(folder, mode)) as db:
        yield db


def connect_existing(folder: Path, mode: Literal["ro", "rw"]) -> sqlite3.Connection:
    """Connect to the ledger in `folder` without creating one.

    Raises:
        WrongVersion: It is of another version than this program's.
        sqlite3.Error: There is none, or it cannot be read.
    """
    uri = f"{(folder / FILE_NAME).absolute().as_uri()}?mode={mode}"
    db = sqlite3.connect(uri, uri=True, isolation_level=None)
    try:
        check_version(db)
    except (sqlite3.Error, WrongVersion):
        db.close()
        raise
    return db


@contextmanager
def explained_errors(folder: Path) -> Iterator[None]:
    """Turn an SQLite error into a StopProgram that says what is wrong with the ledger."""
    try:
        yield
    except sqlite3.Error as error:
        path = folder / FILE_NAME
        if not path.exists():
            raise StopProgram(
                f"there is no ledger {path}: run this where the bridge runs, "
                "or correct PROFIT_BASE_PATH"
            ) from None
        raise StopProgram(f"the ledger {path} cannot be used: {error}{SEE_DOCTOR}") from None
