"""The spool: reports that Redis could not take, kept on the bot's disk until it can.

Each writer has its own file, which it locks for as long as it lives. What a process leaves
behind is taken over by the next one. Each line is a report: a checksum, a blank, the message. The
first line says how much of the file has been sent, so that a restart does not send it all again.
"""

from __future__ import annotations

import fcntl
import io
import itertools
import logging
import os
import time
import zlib
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from .errors import NotPublished

log = logging.getLogger(__name__)

LIMIT = 16 * 1024 * 1024
"""Bytes that the files of one spool may take: about 40,000 reports."""

_HEAD = b"%020d\n"
_HEAD_LENGTH = 21


class Spool:
    """Messages for one Redis, oldest first. A file exists only while one of its messages waits.

    Not safe for threads: the owner takes care that one uses it at a time.

    Args:
        folder: where the files are; many processes may share it.
        target: the name of the Redis, without `/@*?[`. No message goes to another target.
        limit: bytes that the files may take.
    """

    def __init__(self, folder: Path, target: str, limit: int = LIMIT) -> None:
        self._folder = folder.absolute()
        self._target = target
        self._limit = limit
        self._files: deque[_File] = deque()
        self._own: _File | None = None

    def __len__(self) -> int:
        return sum(len(file.waiting) for file in self._files)

    def take_over(self) -> int:
        """Take over the files of processes that have ended; return how many messages they hold."""
        before = len(self)
        if not os.access(_nearest_existing(self._folder), os.W_OK):
            reason = "reports cannot be kept while Redis is away"
            log.warning("spool_not_writable folder=%s reason=%s", self._folder, reason)
        for path in sorted(self._folder.glob(f"{self._target}@*.spool")):
            try:
                file = _File.take_over(path)
            except OSError as error:
                log.warning("spool_not_read file=%s reason=%s", path, error.strerror)
                continue
            if file is not None:
                self._files.append(file)
        self._remove_sent_files()
        return len(self) - before

    def append(self, message: bytes) -> None:
        """Write `message`, one line of text, behind all others; it is on the disk on return.

        Raises:
            NotPublished: the spool is full, or the disk does not take the message.
        """
        record = b"%08x %s\n" % (zlib.crc32(message), message)
        if _HEAD_LENGTH + len(record) + sum(file.size for file in self._files) > self._limit:
            raise NotPublished(
                f"the spool {self._folder} is full: it holds {len(self)} reports, and no more than "
                f"{self._limit} bytes"
            )
        try:
            if self._own is None:
                self._own = _File.create(self._folder, self._target)
                self._files.append(self._own)
                log.warning("reports_spooled file=%s", self._own.path)
            self._own.append(record, message)
        except OSError as error:
            reason = error.strerror or error
            raise NotPublished(f"the spool {self._folder} keeps nothing: {reason}") from None
        finally:
            self._remove_sent_files()

    def oldest(self, count: int) -> list[bytes]:
        """Return up to `count` messages, oldest first; they stay until `drop`."""
        waiting = (item.message for file in self._files for item in file.waiting)
        return list(itertools.islice(waiting, count))

    def drop(self, count: int) -> None:
        """Remove the `count` oldest messages, because they were sent."""
        for file in self._files:
            dropped = min(count, len(file.waiting))
            file.drop(dropped)
            count -= dropped
        self._remove_sent_files()

    def close(self) -> None:
        """Release the files; the next process takes over what waits in them."""
        while self._files:
            self._files.popleft().close()
        self._own = None

    def _remove_sent_files(self) -> None:
        for file in [file for file in self._files if not file.waiting]:
            self._files.remove(file)
            if file is self._own:
                self._own = None
            file.remove()


class _Waiting(NamedTuple):
    """A message, and the offset in its file at which the next one begins."""

    message: bytes
    end: int


class _File:
    """One locked file. The lock ends with the process, whatever ends it."""

    def __init__(self, path: Path, opened: io.FileIO) -> None:
        self.path = path
        self.waiting: deque[_Waiting] = deque()
        self.size = _HEAD_LENGTH
        self._opened = opened
        self._is_damaged = False

    @classmethod
    def create(cls, folder: Path, target: str) -> _File:
        """Create an empty file, safely on the disk.

        Raises:
            OSError: the disk does not take it.
        """
        folder.mkdir(parents=True, exist_ok=True)
        while True:
            path = folder / f"{target}@{time.time_ns():020d}-{os.getpid()}.spool"
            try:
                opened = io.FileIO(path, "x+")
            except FileExistsError:
                continue
            # Until it is locked, another process may take the empty file for one left behind.
            if _is_locked_by_us(opened, path):
                break
            opened.close()
        file = cls(path, opened)
        try:
            _write(opened, _HEAD % _HEAD_LENGTH, 0)
            for changed in (folder, folder.parent):
                _sync_folder(changed)
        except OSError:
            file.remove()
            raise
        return file

    @classmethod
    def take_over(cls, path: Path) -> _File | None:
        """Return the file at `path`, or None if a process holds it or has just removed it.

        Raises:
            OSError: it cannot be read.
        """
        try:
            opened = io.FileIO(path, "r+")
        except FileNotFoundError:
            return None
        if not _is_locked_by_us(opened, path):
            opened.close()
            return None
        file = cls(path, opened)
        try:
            file._load(opened.readall() or b"")
        except OSError:
            file.close()
            raise
        return file

    def _load(self, content: bytes) -> None:
        self.size = len(content)
        head = content[:_HEAD_LENGTH]
        start = int(head) if head.strip().isdigit() else _HEAD_LENGTH
        if start > len(content):
            start = _HEAD_LENGTH
        # What follows the last line end was being written when the process ended: no caller was
        # told that it is on the disk.
        for line in content[start:].split(b"\n")[:-1]:
            start += len(line) + 1
            checksum, _, message = line.partition(b" ")
            if checksum == b"%08x" % zlib.crc32(message):
                self.waiting.append(_Waiting(message, start))
            else:
                self._is_damaged = True

    def append(self, record: bytes, message: bytes) -> None:
        """Append `record` durably.

        Raises:
            OSError: the disk does not take it; the file is as before.
        """
        try:
            _write(self._opened, record, self.size)
            os.fsync(self._opened.fileno())
        except BaseException:
            with suppress(OSError):
                self._opened.truncate(self.size)
            raise
        self.size += len(record)
        self.waiting.append(_Waiting(message, self.size))

    def drop(self, count: int) -> None:
        """Remove the `count` oldest messages."""
        end = None
        for _ in range(count):
            end = self.waiting.popleft().end
        if end is not None and self.waiting:
            # Not synced: if it is lost, messages are sent a second time and still count once.
            with suppress(OSError):
                _write(self._opened, _HEAD % end, 0)

    def remove(self) -> None:
        """Delete the file, or set it aside for a person if lines of it are damaged."""
        try:
            if self._is_damaged:
                log.warning("spool_damaged file=%s", f"{self.path}.damaged")
                self.path.rename(f"{self.path}.damaged")
            else:
                self.path.unlink()
        except OSError as error:
            log.warning("spool_not_removed file=%s reason=%s", self.path, error.strerror)
        self.close()

    def close(self) -> None:
        """Release the lock, but not its copy in another process after a fork."""
        self._opened.close()


def _is_locked_by_us(opened: io.FileIO, path: Path) -> bool:
    """Lock the file unless another process holds it; return whether it is still at `path`."""
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(opened.fileno()), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


def _write(opened: io.FileIO, content: bytes, offset: int) -> None:
    while content:
        written = os.pwrite(opened.fileno(), content, offset)
        content, offset = content[written:], offset + written


def _nearest_existing(folder: Path) -> Path:
    """Return the folder, or the parent in which it would be created."""
    return next(path for path in (folder, *folder.parents) if os.path.lexists(path))


def _sync_folder(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
