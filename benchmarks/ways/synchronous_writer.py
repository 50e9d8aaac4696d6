"""Today's way to Firebase: a plain listener that writes symbol and account, and then reads on.

In its favour: nothing is checked or kept, and there is no queue.
"""

import json
from typing import Any

import redis

from app.firebase_client import FirebaseClient
from app.settings import process_settings

FIELDS = ("total", "unrealized", "realized", "converted")


def run() -> None:
    """Serve until killed."""
    settings = process_settings()
    firebase = FirebaseClient(settings)
    pubsub = redis.Redis.from_url(settings.redis_url, protocol=2).pubsub(
        ignore_subscribe_messages=True
    )
    pubsub.subscribe("PROFIT_REPORT")
    figures: dict[str, dict[str, Any]] = {}
    print("listening", flush=True)
    while True:
        message = pubsub.get_message(timeout=1)
        if message is None:
            continue
        data = json.loads(message["data"])["data"]
        for symbol in (data["symbol"], "aggregate"):
            record = figures.setdefault(symbol, dict.fromkeys(FIELDS, 0.0))
            for name in FIELDS:
                record[name] = round(record[name] + data[name], 2)
            record["timestamp"] = data["timestamp"]
            firebase.store_ticker_data(symbol, "performance", record)


if __name__ == "__main__":
    run()
