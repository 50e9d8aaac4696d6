"""The stores that Firebase refused for good, in a list for operators."""

import json

from app.delivery.dead_letters import DeadLetterList, head
from app.domain import Update
from app.settings import Settings

MAX_FAILED_STORES = 1_000


class FailedStores(DeadLetterList):
    """The list of values that an operator may store again."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.redis_url, settings.names.failed_stores, MAX_FAILED_STORES)

    def add(self, update: Update, reason: str) -> None:
        """Add a store that failed for good."""
        entry = {**head(), **update._asdict(), "reason": reason}
        try:
            text = json.dumps(entry)
        except (TypeError, ValueError, RecursionError):
            # Refused for that very reason: an operator can only clear it.
            text = json.dumps(entry | {"symbol": "", "key": "", "value": None})
        self._append([text])
