"""From messages on TICKER_UPDATES_* and TICKER_PERFORMANCE_* to values for Firebase."""

import json
from collections.abc import Iterable

from app.channels import RedisNames
from app.delivery import Slot
from app.domain import read_performance, read_update
from app.errors import RejectMessage
from app.messaging import Received

RejectedUpdate = tuple[bytes, RejectMessage]
"""A message, and why it cannot be used."""


def latest_values(
    received: Iterable[Received], names: RedisNames
) -> tuple[dict[Slot, str], list[RejectedUpdate]]:
    """Return each slot's latest value in these messages, as JSON text, and what is no value.

    Messages on any other channel are ignored.
    """
    updates, performance = names.ticker_updates.encode(), names.ticker_performance.encode()
    values: dict[Slot, str] = {}
    rejected: list[RejectedUpdate] = []
    for channel, message in received:
        try:
            if channel.startswith(updates):
                # What is not UTF-8 is no symbol, and is rejected as one if the message needs it.
                ticker = channel[len(updates) :].decode(errors="surrogateescape")
                update = read_update(message, ticker)
            elif channel.startswith(performance):
                update = read_performance(message)
            else:
                continue
            values[update.symbol, update.key] = json.dumps(update.value)
        except RejectMessage as error:
            rejected.append((message, error))
    return values, rejected
