"""The journal: a Redis stream that keeps PROFIT_REPORT messages until the bridge has them.

Pub/sub drops what is published while nobody listens; the stream does not. A journaling publisher
writes both, and its message names the journal, so that the bridge takes it from there and leaves
the copy on pub/sub to other listeners.
"""

from typing import Any, NamedTuple

import redis
from redis.client import Pipeline

from app.channels import JOURNAL
from app.messaging.client import database_of

START = "0-0"
NEWEST = "+"
_FIELD = b"message"


class JournalEntry(NamedTuple):
    """One journaled message, and its place in the stream."""

    position: str
    message: bytes


def journal_name(client: redis.Redis) -> str:
    """What a journaled message calls the journal; pub/sub ignores database numbers, streams not."""
    return f"{database_of(client)}:{JOURNAL}"


def append(pipeline: Pipeline, message: bytes, length: int) -> None:
    """Queue the appending of `message` to the journal, kept at about `length` entries."""
    pipeline.xadd(JOURNAL, {_FIELD: message}, maxlen=length, approximate=True)


class Journal:
    """The bridge's side of the journal."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        # As it comes: what redis-py makes of an entry costs more than all the rest of reading it.
        client.set_response_callback("XRANGE", lambda entries, **_: entries)
        self.name = journal_name(client)

    def read(self, position: str, limit: int, up_to: str = NEWEST) -> list[JournalEntry]:
        """Up to `limit` entries after `position`, none of them after `up_to`, at once.

        Raises:
            redis.RedisError: Redis could not be asked.
        """
        entries: Any = self._client.xrange(JOURNAL, min=f"({position}", max=up_to, count=limit)
        return [JournalEntry(name.decode(), _message(fields)) for name, fields in entries]

    def is_behind(self, position: str) -> bool:
        """Whether the stream ends before `position`: Redis lost it, and began a new one.

        Raises:
            redis.RedisError: Redis could not be asked.
        """
        return _order(self.end()) < _order(position)

    def end(self) -> str:
        """The position of the newest entry there ever was in this stream.

        Raises:
            redis.RedisError: Redis could not be asked.
        """
        if not self._client.exists(JOURNAL):
            return START
        last: bytes = self._client.xinfo_stream(JOURNAL)["last-generated-id"]
        return last.decode()

    def trim(self, position: str) -> None:
        """Drop the entries before `position`, which the ledger has.

        Raises:
            redis.RedisError: Redis could not be asked.
        """
        self._client.xtrim(JOURNAL, minid=position, approximate=True)


def _message(fields: list[bytes]) -> bytes:
    """The message among the names and values of an entry, which take turns."""
    return dict(zip(fields[::2], fields[1::2], strict=True)).get(_FIELD, b"")


def _order(position: str) -> tuple[int, int]:
    """What positions are compared by."""
    milliseconds, _, number = position.partition("-")
    return int(milliseconds), int(number or 0)
