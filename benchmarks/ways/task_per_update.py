"""The usual design: one Celery task per update, symbol and account, that writes to Firebase.

The program is the listener; `celery -A benchmarks.ways.task_per_update worker` stores. In its
favour: no retries, no order, no file, nothing published. Celery's settings are the project's own.
"""

import functools
from typing import Any

import redis
from celery import Celery

from app.firebase import FirebaseClient
from app.settings import process_settings
from benchmarks.ways.listener import Figures, changes

app = Celery("task_per_update")
app.config_from_object("celeryconfig")


@functools.cache
def _firebase() -> FirebaseClient:
    """One for each process of the worker: the parent never asks."""
    return FirebaseClient(process_settings())


@app.task(name="store")
def store(symbol: str, data: dict[str, Any]) -> None:
    """Write one performance."""
    _firebase().store_ticker_data(symbol, "performance", data)


def run() -> None:
    """Serve until killed."""
    figures: Figures = {}
    client = redis.Redis.from_url(process_settings().redis_url, protocol=2)
    for changed in changes(client, figures):
        for symbol in changed:
            store.delay(symbol, figures[symbol])


if __name__ == "__main__":
    run()
