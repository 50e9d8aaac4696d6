"""The stores that Firebase refused for good, in a list for operators."""

import json
import uuid
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from app.domain import Update
from app.messaging import connect, reaching
from app.settings import Settings

MAX_FAILED_STORES = 1_000
"""The length of the list. Beyond it, the oldest entries are dropped."""


class FailedStores:
    """The list in Redis. Every method raises RetryLater if Redis cannot be used."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.redis_url
        self._key = settings.names.failed_stores
        self._client = connect(self._url)

    def add(self, update: Update, reason: str) -> None:
        """Add a store that failed for good."""
        entry = {
            "id": uuid.uuid4().hex[:8],
            "at": datetime.now(UTC).isoformat(),
            **update._asdict(),
            "reason": reason,
        }
        try:
            text = json.dumps(entry)
        except (TypeError, ValueError, RecursionError):
            # Refused for that very reason: an operator can only clear it.
            text = json.dumps(entry | {"symbol": "", "key": "", "value": None})
        with reaching(self._url):
            pipeline = self._client.pipeline()
            pipeline.lpush(self._key, text)
            pipeline.ltrim(self._key, 0, MAX_FAILED_STORES - 1)
            pipeline.execute()

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

    def _entries(self) -> list[bytes]:
        with reaching(self._url):
            entries: Any = self._client.lrange(self._key, 0, -1)
        return list(entries)
