"""The journal: a Redis stream that keeps PROFIT_REPORT messages until the bridge has them.

Pub/sub drops what nobody listens to; a stream does not. A journaling publisher writes to both. Its
message names the journal, so the bridge reads the report from there and ignores the pub/sub copy,
which is for other listeners.
"""

from typing import Any, NamedTuple

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

    def read(self, position: str, limit: int, up_to: str = NEWEST) -> list[JournalEntry]:
        """Return up to `limit` entries after `position`, at most up to and including `up_to`."""
        entries: Any = self._client.xrange(self._key, min=f"({position}", max=up_to, count=limit)
        return [JournalEntry(name.decode(), _message(fields)) for name, fields in entries]

    def ends_before(self, position: str) -> bool:
        """Return whether the stream ends before `position`: Redis lost it and started a new one."""
        return _order(self.end()) < _order(position)

    def end(self) -> str:
        """Return the position of the newest entry that this stream has ever had."""
        if not self._client.exists(self._key):
            return START
        last: bytes = self._client.xinfo_stream(self._key)["last-generated-id"]
        return last.decode()

    def trim(self, position: str) -> None:
        """Delete entries before `position`: the ledger has them."""
        self._client.xtrim(self._key, minid=position, approximate=True)


def _message(fields: list[bytes]) -> bytes:
    """Return the message from an entry's alternating names and values."""
    return dict(zip(fields[::2], fields[1::2], strict=True)).get(_FIELD, b"")


def _order(position: str) -> tuple[int, int]:
    """Return the sort key of a position."""
    milliseconds, _, number = position.partition("-")
    return int(milliseconds), int(number or 0)
