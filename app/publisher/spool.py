"""The spool: reports that Redis could not take, kept on the bot's disk until it can.

Each writer has a file of its own, locked for as long as it lives; what a process that ended has
left is taken over by the next one. A line of a file is a report: a checksum, a blank, the message.
The first line says up to where the file has been sent: a restart does not send it all again.
"""

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

from app.errors import RetryLater

log = logging.getLogger(__name__)

LIMIT = 16 * 1024 * 1024
"""Bytes that the files of one spool may have: about 40,000 reports."""

_HEAD = b"%020d\n"
_HEAD_LENGTH = 21


class Spool:
    """Messages for one Redis, oldest first. A file is there only while one of them waits.

    Its owner sees to it that one thread uses it at a time.

    Args:
        folder: of the files; many processes may share it.
        target: names the Redis; what waits for one is never sent to another. Without `/@*?[`.
        limit: bytes that the files may have.
    """

    def __init__(self, folder: Path, target: str, limit: int = LIMIT) -> None:
        self._folder = folder.absolute()
        self._target = target
        self._limit = limit
        self._files: deque[_File] = deque()
        self._own: _File | None = None

    def __len__(self) -> int:
        return sum(len(file.waiting) for file in self._files)

    def adopt(self) -> int:
        """Take over the files of processes that have ended; how many messages they hold."""
        before = len(self)
        for path in sorted(self._folder.glob(f"{self._target}@*.spool")):
            try:
                file = _File.take_over(path)
            except OSError as error:
                log.warning("spool_not_read file=%s reason=%s", path, error.strerror)
                continue
            if file is not None:
                self._files.append(file)
        self._remove_what_is_sent()
        return len(self) - before

    def append(self, message: bytes) -> None:
        """Keep `message`, one line of text, behind all others; it is on the disk on return.

        Raises:
            RetryLater: the spool is full, or the disk does not take it. Nothing is kept then.
        """
        record = b"%08x %s\n" % (zlib.crc32(message), message)
        if _HEAD_LENGTH + len(record) + sum(file.size for file in self._files) > self._limit:
            raise RetryLater(
                f"the spool {self._folder} is full: it holds {len(self)} reports, and no more than "
                f"{self._limit} bytes"
            )
        try:
            if self._own is None:
                self._own = _File.create(self._folder, self._target)
                self._files.append(self._own)
            self._own.append(record, message)
        except OSError as error:
            reason = error.strerror or error
            raise RetryLater(f"the spool {self._folder} keeps nothing: {reason}") from None
        finally:
            self._remove_what_is_sent()

    def oldest(self, count: int) -> list[bytes]:
        """Up to `count` messages, oldest first; they stay until `drop`."""
        waiting = (item.message for file in self._files for item in file.waiting)
        return list(itertools.islice(waiting, count))

    def drop(self, count: int) -> None:
        """Forget the `count` oldest messages: they were sent."""
        for file in self._files:
            dropped = min(count, len(file.waiting))
            file.drop(dropped)
            count -= dropped
        self._remove_what_is_sent()

    def close(self) -> None:
        """Let go of the files; what waits in them is there for the next process."""
        while self._files:
            self._files.popleft().close()
        self._own = None

    def _remove_what_is_sent(self) -> None:
        for file in [file for file in self._files if not file.waiting]:
            self._files.remove(file)
            if file is self._own:
                self._own = None
            file.remove()


class _Waiting(NamedTuple):
    """A message, and the place in its file where the next one begins."""

    message: bytes
    end: int


class _File:
    """One locked file. The lock ends with the process, however that ends."""

    def __init__(self, path: Path, opened: io.FileIO) -> None:
        self.path = path
        self.waiting: deque[_Waiting] = deque()
        self.size = _HEAD_LENGTH
        self._opened = opened
        self._is_damaged = False

    @classmethod
    def create(cls, folder: Path, target: str) -> "_File":
        """A new file, empty and on the disk.

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
            # Another process may have taken the empty file for one that was left.
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
    def take_over(cls, path: Path) -> "_File | None":
        """The file at `path`, or None if a process has it or has just removed it.

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
        # What follows the last line end was being written when the process ended: its caller was
        # never told that it is kept.
        for line in content[start:].split(b"\n")[:-1]:
            start += len(line) + 1
            checksum, _, message = line.partition(b" ")
            if checksum == b"%08x" % zlib.crc32(message):
                self.waiting.append(_Waiting(message, start))
            else:
                self._is_damaged = True

    def append(self, record: bytes, message: bytes) -> None:
        """Write `record` behind the others, for good.

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
        """Forget the `count` oldest messages."""
        end = None
        for _ in range(count):
            end = self.waiting.popleft().end
        if end is not None and self.waiting:
            # Not synced: if it is lost, messages are sent again that count once.
            with suppress(OSError):
                _write(self._opened, _HEAD % end, 0)

    def remove(self) -> None:
        """Delete the file, or if lines of it are damaged leave it to a person."""
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
        """Give the lock back; a copy of it in another process, after a fork, stays as it is."""
        self._opened.close()


def _is_locked_by_us(opened: io.FileIO, path: Path) -> bool:
    """Lock the file, if it is still the one at `path` and nobody else has it."""
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(opened.fileno()), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


def _write(opened: io.FileIO, content: bytes, place: int) -> None:
    while content:
        written = os.pwrite(opened.fileno(), content, place)
        content, place = content[written:], place + written


def _sync_folder(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
