"""The daily JSON: a projection of the ledger that is whole at every moment."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from app.channels import AGGREGATE
from app.domain import (
    FIELDS,
    Figures,
    RenderedFigures,
    date_of,
    from_shown,
    reported_symbol,
    to_microseconds,
)
from app.errors import RejectMessage

log = logging.getLogger(__name__)

SHORTEST_PAUSE = 0.25
"""Seconds between two writes under load; when idle a change is written at once."""

_PAUSE_FOR_LARGE = 20
"""How many times as long as writing took the pause is while changes come: it matters for the files
of thousands of symbols."""

_LOOK_AGAIN = 0.05
"""Seconds without a change after which none are waited for any more."""

_UNUSABLE = (msgspec.DecodeError, UnicodeDecodeError, LookupError, TypeError, ArithmeticError)

CHECK_EVERY = 1.0
"""Seconds after which the files are looked at for changes by somebody else."""


def path_of(base: Path, day: int) -> Path:
    """Where the file of a day is, under PROFIT_BASE_PATH."""
    date = date_of(day)
    return base / f"{date:%Y}" / f"{date:%m}" / f"{date:%Y-%m-%d}_profit.json"


def read_figures(path: Path) -> dict[str, Figures] | None:
    """The figures of a daily file, with the account as `aggregate`; None if there is no file.

    Raises:
        RejectMessage: the file is torn or is no daily file.
        OSError: the file cannot be read.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        records = msgspec.json.decode(text, type=dict[str, dict[str, Any]])
        return {_symbol(symbol): _figures(record) for symbol, record in records.items()}
    except _UNUSABLE as error:
        raise RejectMessage("not_json", f"it is no daily JSON: {error}") from None


def _symbol(text: str) -> str:
    return text if text == AGGREGATE else reported_symbol(text)


def _figures(record: Mapping[str, Any]) -> Figures:
    amounts = {name: from_shown(record[name]) for name in FIELDS}
    return Figures(**amounts, timestamp_us=to_microseconds(record["timestamp"]))


def set_aside(path: Path, *, until_replaced: bool = False) -> Path:
    """Move a file that cannot be used out of the way, and keep it.

    Args:
        path: of the file.
        until_replaced: it also stays where it is, for the caller to replace: so a reader finds a
            file at every moment.

    Raises:
        OSError: the folder cannot be written.
    """
    aside = path.with_name(f"{path.name}.unusable-{time.time_ns()}")
    if until_replaced:
        # Not every file system has links.
        with suppress(OSError):
            aside.hardlink_to(path)
            return aside
    path.rename(aside)
    return aside


class DailyFiles:
    """Keeps the files equal to the figures it is given, from a thread of its own.

    A file is written to a temporary name, synced and renamed, so that a reader sees the old state
    or the new one. A disk that is full or read-only is tried again until it takes the file: the
    ledger has everything.
    """

    def __init__(self, base: Path) -> None:
        self._base = base
        self._lock = threading.Lock()
        self._shown: dict[int, dict[str, bytes]] = {}
        self._dirty: set[int] = set()
        self._updates = 0
        self._written: dict[int, tuple[int, ...]] = {}
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="daily-files", daemon=True)
        self._took: Callable[[float], None] = lambda _: None

    def start(self, took: Callable[[float], None] | None = None) -> None:
        """Begin to write; `took` is told the seconds of every writing."""
        self._took = took or self._took
        self._thread.start()

    def update(self, records: Mapping[int, Iterable[RenderedFigures]]) -> None:
        """Take in the records of one batch, by day, together; of a symbol's, the last one stays."""
        with self._lock:
            for day, shown in records.items():
                self._shown.setdefault(day, {}).update(shown)
                self._dirty.add(day)
            self._updates += 1
        self._wake.set()

    def forget_before(self, day: int) -> None:
        """Leave the files of days before `day` alone from now on."""
        with self._lock:
            for old in [known for known in self._shown if known < day and known not in self._dirty]:
                del self._shown[old]
                self._written.pop(old, None)

    def close(self, timeout: float) -> bool:
        """Write what is left and stop; False if the disk did not take it within `timeout` s."""
        self._closing.set()
        self._wake.set()
        self._thread.join(timeout)
        return not self._thread.is_alive() and not self._dirty

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.wait(CHECK_EVERY)
            self._wake.clear()
            self._find_touched()
            began = time.monotonic()
            if not self._write_dirty():
                self._pause(time.monotonic() - began)
        self._write_dirty()

    def _pause(self, took: float) -> None:
        """Let changes gather: the longer writing took the longer, but not once none come."""
        until = time.monotonic() + min(_PAUSE_FOR_LARGE * took, CHECK_EVERY)
        pause = SHORTEST_PAUSE
        while True:
            known = self._updates
            if self._closing.wait(pause):
                return
            if known == self._updates or time.monotonic() >= until:
                return
            pause = _LOOK_AGAIN

    def _write_dirty(self) -> bool:
        """Write every file that is behind; False if there was one, so that the next may wait."""
        with self._lock:
            days = sorted(self._dirty)
            self._dirty.clear()
            contents = [(day, self._shown[day].copy()) for day in days]
        for day, shown in contents:
            path = path_of(self._base, day)
            began = time.monotonic()
            try:
                is_ours = _look(path) == self._written.get(day)
                self._written[day] = _put_in_place(path, _rendered(shown), is_ours=is_ours)
                self._took(time.monotonic() - began)
            except OSError as error:
                log.error("daily_file_not_written path=%s reason=%s", path, error.strerror)
                with self._lock:
                    self._dirty.add(day)
                self._wake.set()
        return not contents

    def _find_touched(self) -> None:
        for day, written in list(self._written.items()):
            if _look(path_of(self._base, day)) != written:
                with self._lock:
                    self._dirty.add(day)


def _keep_unusable(path: Path) -> None:
    """Keep a copy of what somebody else, or a power cut, left in the file's place."""
    try:
        read_figures(path)
    except RejectMessage as error:
        aside = set_aside(path, until_replaced=True)
        log.warning("daily_file_set_aside path=%s kept=%s reason=%s", path, aside, error)


def _put_in_place(path: Path, content: bytes, *, is_ours: bool) -> tuple[int, ...]:
    """Have the file hold this; what it looks like, as long as nobody else changes it."""
    # Looked at before it can be changed: whoever does so right afterwards is to be noticed.
    there = _look(path)
    with suppress(OSError):
        if path.read_bytes() == content:
            return there
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    ours = _look(temporary)
    if not is_ours:
        # Not before there is something to replace it with: a full disk is tried again and again.
        _keep_unusable(path)
    temporary.replace(path)
    return ours


def _look(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _rendered(shown: dict[str, bytes]) -> bytes:
    account = shown.pop(AGGREGATE, None)
    records = [b'"%b": %b' % (symbol.encode(), fields) for symbol, fields in shown.items()]
    if account is not None:
        records.append(b'"%b": %b' % (AGGREGATE.encode(), account))
    return b"{" + b",\n ".join(records) + b"}\n"
