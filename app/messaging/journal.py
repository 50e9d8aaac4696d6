"""The journal: a Redis stream that keeps PROFIT_REPORT messages until the bridge has them.

Pub/sub drops what nobody listens to; a stream does not. A journaling publisher writes to both. Its
message names the journal, so the bridge reads the report from there and ignores the pub/sub copy,
which is for other listeners.

The entry at the position up to which the journal was read stays in it, so each read begins with
that entry. If it is not there, the bots have filled the journal up and dropped it, or this is
another journal: Redis came back empty, or from a copy. Positions alone do not tell: they come from
Redis's clock, which may be behind.
"""

from typing import Any, NamedTuple
from zlib import crc32

import redis
from redis.client import Pipeline

from app.channels import RedisNames
from app.messaging.client import database_of

START = "0-0"
NEWEST = "+"
_FIELD = b"message"


class JournalEntry(NamedTuple):
    """A journaled message and its position in the stream."""

    position: str
    message: bytes


class Position(NamedTuple):
    """How far a journal was read; as text, its parts with blanks in between."""

    entry: str = START
    """The position of the entry that was read last."""
    number: int | None = None
    """Its number among all entries that the journal ever had; None if that is unknown."""
    fingerprint: int | None = None
    """What tells the entry from another one at the same position; None if that is unknown."""

    @classmethod
    def of(cls, text: str) -> "Position":
        """Return the position with this text. Older programs wrote the entry alone."""
        entry, *others = text.split()
        return cls(entry, *(None if one == "-" else int(one) for one in others))

    def __str__(self) -> str:
        others = ("-" if one is None else str(one) for one in self[1:])
        return " ".join((self.entry, *others))

    def is_of(self, entry: JournalEntry) -> bool:
        """Return whether this is the entry that was read last."""
        is_same = self.fingerprint is None or self.fingerprint == crc32(entry.message)
        return entry.position == self.entry and is_same

    def after(self, entries: list[JournalEntry]) -> "Position":
        """Return the position after reading on."""
        if not entries:
            return self
        number = None if self.number is None else self.number + len(entries)
        return Position(entries[-1].position, number, crc32(entries[-1].message))


class Dropped(NamedTuple):
    """Reports that a journal dropped before they were read."""

    reports: int | None
    """How many; None if Redis does not know (before version 7)."""
    since: int
    """When the last report before them was journaled, in ms since 1970 UTC; 0: there was none."""
    until: int
    """When the first report after them was."""


class Reading(NamedTuple):
    """What was read from the journal."""

    entries: list[JournalEntry]
    position: str
    """How far the journal is read with these entries."""
    is_other: bool = False
    """Whether it is another journal than the one that was read before."""
    dropped: Dropped | None = None


def journal_name(client: redis.Redis, names: RedisNames) -> str:
    """Return the name by which messages refer to the journal in the client's database.

    It includes the database number, because pub/sub reaches all databases and a stream only one.
    """
    return f"{database_of(client)}:{names.journal}"


def append(pipeline: Pipeline, names: RedisNames, message: bytes, length: int) -> None:
    """Queue a command that appends `message` and trims the journal to about `length` entries."""
    pipeline.xadd(names.journal, {_FIELD: message}, maxlen=length, approximate=True)


class Journal:
    """The bridge's side of the journal. Every method raises redis.RedisError if Redis fails."""

    def __init__(self, client: redis.Redis, names: RedisNames) -> None:
        self._client = client
        self._key = names.journal
        # redis-py's own conversion of an entry costs more than all the rest of reading it.
        client.set_response_callback("XRANGE", lambda entries, **_: entries)
        self.name = journal_name(client, names)
        self._is_counted = True

    def read(self, position: str, limit: int, up_to: str = NEWEST) -> Reading:
        """Read up to `limit` entries after `position`, at most up to and including `up_to`.

        Another journal is read from its start.
        """
        known = Position.of(position)
        entries = _entries(
            self._client.xrange(self._key, min=known.entry, max=up_to, count=limit + 1)
        )
        is_other, dropped = False, None
        if known.entry != START and entries and known.is_of(entries[0]):
            entries = entries[1:]
        elif known.entry != START or (entries and known.number is not None):
            info, entries = self._read_from_start(limit, up_to)
            known, is_other, dropped = _compare(known, info)
        read = known.after(entries[:limit])
        if read.number is None and self._is_counted and len(entries) < limit:
            info = self._info()
            self._is_counted = info.added is not None
            if info.last == read.entry:
                read = read._replace(number=info.added)
        return Reading(entries[:limit], str(read), is_other, dropped)

    def end(self) -> str:
        """Return the position of the newest entry that this stream has ever had."""
        return self._info().last

    def trim(self, position: str) -> None:
        """Delete entries before `position`, and leave the one there."""
        self._client.xtrim(self._key, minid=Position.of(position).entry, approximate=True)

    def _info(self) -> "_Info":
        try:
            return _Info.of(self._client.xinfo_stream(self._key))
        except redis.ResponseError as error:
            return _Info.of(error)

    def _read_from_start(self, limit: int, up_to: str) -> "tuple[_Info, list[JournalEntry]]":
        """Return what the stream is, and its first entries at the same moment."""
        pipeline = self._client.pipeline(transaction=True)
        pipeline.xinfo_stream(self._key)
        pipeline.xrange(self._key, max=up_to, count=limit)
        info, entries = pipeline.execute(raise_on_error=False)
        return _Info.of(info), _entries(entries)


class _Info(NamedTuple):
    """What Redis knows of a stream."""

    last: str
    """The position of the newest entry that it ever had."""
    first: str | None
    """The position of the first entry that it has; None without any."""
    added: int | None
    """How many entries it ever had; None from a Redis before version 7."""
    dropped: int | None
    """How many of these it has no more; None likewise."""

    @classmethod
    def of(cls, reply: Any) -> "_Info":
        if isinstance(reply, redis.ResponseError) and "no such key" in str(reply):
            return cls(START, None, 0, 0)
        if isinstance(reply, Exception):
            raise reply
        added = reply.get("entries-added")
        dropped = None if added is None else added - reply["length"]
        first = reply["first-entry"]
        return cls(reply["last-generated-id"].decode(), first and first[0].decode(), added, dropped)


def _compare(known: Position, info: _Info) -> tuple[Position, bool, Dropped | None]:
    """Compare a stream with how far it was read, whose entry it does not have.

    Returns:
        The position from which to read it, whether it is another stream, and what it dropped
        unread.
    """
    start = Position(START, info.dropped)
    dropped = Dropped(None, _milliseconds(known.entry), _milliseconds(info.first or info.last))
    if info.dropped is None or known.number is None:
        is_other = info.first is not None and _order(info.first) < _order(known.entry)
        is_other = is_other or _order(info.last) < _order(known.entry)
        return start, is_other, None if is_other else dropped
    if info.dropped < known.number:
        return start, known.entry != START, None
    reports = info.dropped - known.number
    return start, False, dropped._replace(reports=reports) if reports else None


def _entries(reply: Any) -> list[JournalEntry]:
    return [JournalEntry(name.decode(), _message(fields)) for name, fields in reply]


def _milliseconds(position: str) -> int:
    return _order(position)[0]


def _message(fields: list[bytes]) -> bytes:
    """Return the message from an entry's alternating names and values."""
    return dict(zip(fields[::2], fields[1::2], strict=True)).get(_FIELD, b"")


def _order(position: str) -> tuple[int, int]:
    """Return the sort key of a position."""
    milliseconds, _, number = position.partition("-")
    return int(milliseconds), int(number or 0)
