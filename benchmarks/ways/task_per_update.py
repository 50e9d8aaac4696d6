"""The usual design: one Celery task per update, symbol and account, that writes to Firebase.

The program is the listener; `celery -A benchmarks.ways.task_per_update worker` stores. In its
favour: no retries, no order, no file, nothing published. Celery's settings are the project's own.
"""

import json
from typing import Any

import redis
from celery import Celery

from app.firebase_client import firebase_of_this_process
from app.settings import process_settings

FIELDS = ("total", "unrealized", "realized", "converted")

app = Celery("task_per_update")
app.config_from_object("celeryconfig")


@app.task(name="store")
def store(symbol: str, data: dict[str, Any]) -> None:
    """Write one performance."""
    firebase_of_this_process(process_settings()).store_ticker_data(symbol, "performance", data)


def run() -> None:
    """Serve until killed."""
    pubsub = redis.Redis.from_url(process_settings().redis_url, protocol=2).pubsub(
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
            store.delay(symbol, record)


if __name__ == "__main__":
    run()
