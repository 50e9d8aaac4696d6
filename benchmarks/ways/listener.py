"""A plain listener, as the ways that the bridge is compared with have in common.

Nothing is checked, and a report is forgotten once it is added.
"""

import json
from collections.abc import Iterator
from typing import Any

import redis

FIELDS = ("total", "unrealized", "realized", "converted")

Figures = dict[str, dict[str, Any]]


def changes(client: redis.Redis, figures: Figures) -> Iterator[tuple[str, str]]:
    """Add every report that comes to `figures`; the two symbols that each has changed."""
    pubsub = client.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe("PROFIT_REPORT")
    print("listening", flush=True)
    while True:
        message = pubsub.get_message(timeout=1)
        if message is None:
            continue
        data = json.loads(message["data"])["data"]
        changed = data["symbol"], "aggregate"
        for symbol in changed:
            record = figures.setdefault(symbol, dict.fromkeys(FIELDS, 0.0))
            for name in FIELDS:
                record[name] = round(record[name] + data[name], 2)
            record["timestamp"] = data["timestamp"]
        yield changed
