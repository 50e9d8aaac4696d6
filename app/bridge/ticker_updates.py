"""Values for Firebase out of what is published on TICKER_UPDATES_* and TICKER_PERFORMANCE_*."""

import json
from collections.abc import Iterable

from app.channels import TICKER_PERFORMANCE, TICKER_UPDATES
from app.delivery import Slot
from app.domain import read_performance, read_update
from app.errors import RejectMessage
from app.messaging import Received

_UPDATES, _PERFORMANCE = TICKER_UPDATES.encode(), TICKER_PERFORMANCE.encode()

Refused = tuple[bytes, RejectMessage]
"""A message, and why it cannot be used."""


def new_values(received: Iterable[Received]) -> tuple[dict[Slot, str], list[Refused]]:
    """The newest value of each slot in messages, as JSON text, and what was no value.

    A message on any other channel is left alone.
    """
    values: dict[Slot, str] = {}
    refused: list[Refused] = []
    for channel, message in received:
        try:
            if channel.startswith(_UPDATES):
                update = read_update(message)
            elif channel.startswith(_PERFORMANCE):
                update = read_performance(message)
            else:
                continue
            values[update.symbol, update.key] = json.dumps(update.value)
        except RejectMessage as error:
            refused.append((message, error))
    return values, refused
