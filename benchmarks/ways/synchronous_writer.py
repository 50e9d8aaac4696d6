"""Today's way to Firebase: a plain listener that writes symbol and account, and then reads on.

In its favour: nothing is checked or kept, and there is no queue.
"""

import redis

from app.firebase import FirebaseClient
from app.settings import process_settings
from benchmarks.ways.listener import Figures, changes


def run() -> None:
    """Serve until killed."""
    settings = process_settings()
    firebase = FirebaseClient(settings)
    figures: Figures = {}
    for changed in changes(redis.Redis.from_url(settings.redis_url, protocol=2), figures):
        for symbol in changed:
            firebase.store_ticker_data(symbol, "performance", figures[symbol])


if __name__ == "__main__":
    run()
