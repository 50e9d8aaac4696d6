"""The daily JSON: a projection of the ledger that is whole at every moment."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import structlog

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
from app.messaging import START

log = structlog.stdlib.get_logger(__name__)

CHECK_SECONDS = 1.0
"""How often the files are checked for changes by another program."""

_PAUSE_SECONDS = 0.25
"""The shortest time between two writes under load; after a rest a change is written at once."""

_PAUSE_FACTOR = 20
"""The longest pause, as a multiple of the time that writing took: it relieves the disk of the
files of thousands of symbols."""

_QUIET_SECONDS = 0.05
"""The time without a change after which a pause ends early."""

_encode = msgspec.json.Encoder().encode

_UNUSABLE = (msgspec.DecodeError, UnicodeDecodeError, LookupError, TypeError, ArithmeticError)


def path_of(base: Path, day: int) -> Path:
    """Return the path of a day's file, under PROFIT_BASE_PATH."""
    date = date_of(day)
    return base / f"{date:%Y}" / f"{date:%m}" / f"{date:%Y-%m-%d}_profit.json"


def read_figures(path: Path) -> dict[str, Figures] | None:
    """Read a daily file: the figures by symbol, the account as `aggregate`; None without a file.

    Raises:
        RejectMessage: The file is torn, or is not a daily file.
        OSError: The file cannot be read.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        records = msgspec.json.decode(text, type=dict[str, dict[str, Any]])
        return {_symbol(symbol): _figures(record) for symbol, record in records.items()}
    except _UNUSABLE as error:
        raise RejectMessage("not_json", f"not a daily file: {error}") from None


def _symbol(text: str) -> str:
    return text if text == AGGREGATE else reported_symbol(text)


def _figures(record: Mapping[str, Any]) -> Figures:
    amounts = {name: from_shown(record[name]) for name in FIELDS}
    return Figures(**amounts, timestamp_us=to_microseconds(record["timestamp"]))


def set_aside(path: Path, *, until_replaced: bool = False) -> Path:
    """Give an unusable file a name that nobody reads; return it.

    Args:
        path: The path of the file.
        until_replaced: Whether the file also stays at `path` until the caller replaces it, so
            that readers find a file at every moment.

    Raises:
        OSError: The folder cannot be written.
    """
    aside = path.with_name(f"{path.name}.unusable-{time.time_ns()}")
    if until_replaced:
        # Not every file system has links.
        with suppress(OSError):
            aside.hardlink_to(path)
            return aside
    path.rename(aside)
    return aside


def write_daily_file(path: Path, shown: dict[str, bytes], *, is_ours: bool) -> tuple[int, ...]:
    """Put the file of a day in place; return its state, by which later changes are noticed.

    Args:
        path: The path of the file.
        shown: The rendered figures by symbol, the account as `aggregate`.
        is_ours: Whether the file that it replaces is known to be ours; an unusable one is copied.

    Raises:
        OSError: The folder cannot be written.
    """
    content = _rendered(shown)
    # Taken before reading, so that a change right after it is noticed.
    state = _state_of(path)
    with suppress(OSError):
        if path.read_bytes() == content:
            return state
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    state = _state_of(temporary)
    if not is_ours:
        # Only now that the replacement exists: a full disk would make a copy at every attempt.
        _copy_if_unusable(path)
    temporary.replace(path)
    return state


class DailyFiles:
    """Writes daily files from a thread of its own.

    Each file is written to a temporary name, synced and renamed, so a reader sees the old state or
    the new one. A write that fails is repeated until it succeeds: the ledger has everything.
    """

    def __init__(self, base: Path) -> None:
        self._base = base
        self._lock = threading.Lock()
        self._shown: dict[int, dict[str, bytes]] = {}
        self._dirty: set[int] = set()
        self._updates = 0
        self._position = self.written_position = START
        self._written: dict[int, tuple[int, ...]] = {}
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="daily-files", daemon=True)
        self._on_written: Callable[[float], None] = lambda _: None

    def start(self, on_written: Callable[[float], None] | None = None) -> None:
        """Start writing; `on_written` is called with the seconds that each write took."""
        self._on_written = on_written or self._on_written
        self._thread.start()

    def update(
        self, records: Mapping[int, Iterable[RenderedFigures]], position: str = START
    ) -> None:
        """Add one batch of records by day, as a whole; the last record of a symbol stands.

        Once it is on disk, `written_position` is the journal's `position` with this batch.
        """
        with self._lock:
            self._position = position
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
        """Write what is left and stop; return whether that succeeded within `timeout` seconds."""
        self._closing.set()
        self._wake.set()
        self._thread.join(timeout)
        return not self._thread.is_alive() and not self._dirty

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.wait(CHECK_SECONDS)
            self._wake.clear()
            self._find_changed_by_others()
            started = time.monotonic()
            if self._write_dirty():
                self._pause(time.monotonic() - started)
        self._write_dirty()

    def _pause(self, write_seconds: float) -> None:
        """Let changes gather, the longer the longer a write takes; end early once none come."""
        until = time.monotonic() + min(_PAUSE_FACTOR * write_seconds, CHECK_SECONDS)
        pause = _PAUSE_SECONDS
        while True:
            known = self._updates
            if self._closing.wait(pause):
                return
            if known == self._updates or time.monotonic() >= until:
                return
            pause = _QUIET_SECONDS

    def _write_dirty(self) -> bool:
        """Write every file that is out of date; return whether there was any."""
        with self._lock:
            days = sorted(self._dirty)
            self._dirty.clear()
            contents = [(day, self._shown[day].copy()) for day in days]
            position = self._position
        is_complete = True
        for day, shown in contents:
            path = path_of(self._base, day)
            started = time.monotonic()
            try:
                is_ours = _state_of(path) == self._written.get(day)
                self._written[day] = write_daily_file(path, shown, is_ours=is_ours)
                self._on_written(time.monotonic() - started)
            except OSError as error:
                log.error("daily_file_not_written", path=path, reason=error.strerror)
                is_complete = False
                with self._lock:
                    self._dirty.add(day)
                self._wake.set()
        if is_complete:
            self.written_position = position
        return bool(contents)

    def _find_changed_by_others(self) -> None:
        for day, written in list(self._written.items()):
            if _state_of(path_of(self._base, day)) != written:
                with self._lock:
                    self._dirty.add(day)


def _copy_if_unusable(path: Path) -> None:
    """Keep a copy of a file that another program, or a power cut, left unusable."""
    try:
        read_figures(path)
    except RejectMessage as error:
        aside = set_aside(path, until_replaced=True)
        log.warning("daily_file_set_aside", path=path, copy=aside, reason=error)


def _state_of(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _rendered(shown: dict[str, bytes]) -> bytes:
    account = shown.pop(AGGREGATE, None)
    records = [b"%b: %b" % (_encode(symbol), fields) for symbol, fields in shown.items()]
    if account is not None:
        records.append(b"%b: %b" % (_encode(AGGREGATE), account))
    return b"{" + b",\n ".join(records) + b"}\n"
