"""The prices and orders that cannot be stored, in a list of their own for operators.

In Redis, since the subscriber has no ledger; and apart from the reports, of which none may give way
to a price.
"""

import json
from collections.abc import Sequence
from typing import NamedTuple

from app.delivery.dead_letters import DeadLetterList, head
from app.domain import LARGEST_MESSAGE
from app.errors import RejectMessage
from app.settings import Settings

MAX_REJECTED_UPDATES = 500

_CUT = LARGEST_MESSAGE // 8
"""The bytes that are kept of a message whose entry would be longer than the longest message. JSON
writes a control character with six."""


class RejectedUpdate(NamedTuple):
    """A message that is no value to store: of a price, an order, or a performance."""

    channel: bytes
    message: bytes
    error: RejectMessage


class RejectedUpdates(DeadLetterList):
    """The list of messages that an operator may correct and send again."""

    def __init__(self, settings: Settings) -> None:
        names = settings.names
        super().__init__(settings.redis_url, names.rejected_updates, MAX_REJECTED_UPDATES)

    def add(self, rejected: Sequence[RejectedUpdate]) -> None:
        """Add messages, in the order in which they came."""
        self._append([_entry(one) for one in rejected[-MAX_REJECTED_UPDATES:]])


def _entry(rejected: RejectedUpdate) -> str:
    def entry(message: bytes) -> str:
        channel = rejected.channel.decode(errors="backslashreplace")
        # What is not UTF-8 survives, as halves of surrogate pairs.
        text = message.decode(errors="surrogateescape")
        fields = {"channel": channel, "reason": str(rejected.error), "message": text}
        return json.dumps(head() | fields)

    whole = entry(rejected.message)
    return whole if len(whole) <= LARGEST_MESSAGE else entry(rejected.message[:_CUT])
