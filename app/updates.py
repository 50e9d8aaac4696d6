"""Values for Firebase out of what is published on TICKER_UPDATES_* and TICKER_PERFORMANCE_*."""

import json
from collections.abc import Iterable

from app.channels import TICKER_PERFORMANCE, TICKER_UPDATES
from app.errors import RejectMessage
from app.handover import NewValue
from app.messages import read_performance, read_update
from app.subscriber import Received

_UPDATES, _PERFORMANCE = TICKER_UPDATES.encode(), TICKER_PERFORMANCE.encode()

Refused = tuple[bytes, str]
"""A message, and why it cannot be used."""


def new_values(received: Iterable[Received]) -> tuple[list[NewValue], list[Refused]]:
    """The values in messages, given with the channel that each came on, and what was none.

    A message on any other channel is left alone.
    """
    values: list[NewValue] = []
    refused: list[Refused] = []
    for channel, message in received:
        try:
            if channel.startswith(_UPDATES):
                update = read_update(message)
            elif channel.startswith(_PERFORMANCE):
                update = read_performance(message)
            else:
                continue
            values.append(NewValue(update.symbol, update.key, json.dumps(update.value)))
        except RejectMessage as error:
            refused.append((message, str(error)))
    return values, refused


def performance_values(shown: Iterable[tuple[str, bytes]]) -> list[NewValue]:
    """The values for symbols given with their five fields as JSON."""
    return [NewValue(symbol, "performance", fields) for symbol, fields in shown]
