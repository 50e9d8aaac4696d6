"""The performances in Firebase: what the audit reads there, and what it corrects."""

from collections.abc import Collection, Sequence
from typing import Any

from app.domain import PERFORMANCE, Update
from app.errors import Outdated
from app.firebase import (
    FirebaseClient,
    WriteRateLimiter,
    escape_key,
    node_path,
    unescape_key,
)
from app.settings import Settings


class Performances:
    """The performance of every symbol in one database.

    Every method raises RetryLater if Firebase cannot be reached, and GiveUp if it refuses.

    Raises:
        WrongSetting: The settings name no database, or no usable credentials.
    """

    def __init__(self, settings: Settings) -> None:
        self._client = FirebaseClient(settings, WriteRateLimiter(settings).acquire)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def symbols(self) -> tuple[list[str], list[str]]:
        """Return every symbol that has a node, and the other keys: those not escaped as ours."""
        keys = self._client.keys()
        other = [key for key in keys if escape_key(unescape_key(key)) != key]
        return [unescape_key(key) for key in keys if key not in other], other

    def read(self, symbols: Collection[str]) -> dict[str, Any]:
        """Return the performance of each symbol that has one."""
        paths = [node_path(symbol, PERFORMANCE) for symbol in symbols]
        nodes = zip(symbols, self._client.get_many(paths), strict=True)
        return {symbol: node for symbol, node in nodes if node is not None}

    def store_many(self, updates: Sequence[Update]) -> None:
        """Store several values in one request, also over a performance that is wrongly newer."""
        try:
            self._client.store_many(updates)
        except Outdated:
            # The rules refuse an older value in its place, but allow its removal.
            self._client.store_many([update._replace(value={}) for update in updates])
            self._client.store_many(updates)
