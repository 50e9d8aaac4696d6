"""A bounded list in Redis of what waits for an operator."""

import json
import uuid
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from app.messaging import connect, reaching


class DeadLetterList:
    """A list in Redis. Every method raises RetryLater if Redis cannot be used.

    Args:
        url: Where Redis is.
        key: The list's name there.
        limit: Its length. Beyond it, the oldest entries are dropped.
    """

    def __init__(self, url: str, key: str, limit: int) -> None:
        self._url = url
        self._key = key
        self._limit = limit
        self._client = connect(url)

    def read(self) -> list[dict[str, Any]]:
        """Return all entries, newest first. The `id` of each never changes."""
        return [json.loads(entry) for entry in self._entries()]

    def remove(self, ids: Collection[str]) -> None:
        """Remove the entries with these ids, if they are there."""
        for entry in self._entries():
            if json.loads(entry)["id"] in ids:
                # By content: entries are added at any moment, so no position is reliable.
                with reaching(self._url):
                    self._client.lrem(self._key, 0, entry.decode())

    def _append(self, entries: Sequence[str]) -> None:
        with reaching(self._url):
            pipeline = self._client.pipeline()
            pipeline.lpush(self._key, *entries[-self._limit :])
            pipeline.ltrim(self._key, 0, self._limit - 1)
            pipeline.execute()

    def _entries(self) -> list[bytes]:
        with reaching(self._url):
            entries: Any = self._client.lrange(self._key, 0, -1)
        return list(entries)


def head() -> dict[str, str]:
    """Return what every entry begins with: its id, and the time."""
    return {"id": uuid.uuid4().hex[:8], "at": datetime.now(UTC).isoformat()}
