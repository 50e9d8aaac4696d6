"""The floor: a loop that only subscribes, decodes, and publishes two messages per report.

Nothing is checked, added up or kept. Messages are of the size that ours have, and those of one
batch go out in one pipeline.
"""

import sys
from typing import Any

import msgspec
import redis

BATCH = 500


def run(url: str) -> None:
    """Serve until killed."""
    client = redis.Redis.from_url(url, protocol=2)
    pubsub = client.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe("PROFIT_REPORT")
    decode = msgspec.json.Decoder().decode
    print("listening", flush=True)
    while True:
        batch: list[Any] = []
        message = pubsub.get_message(timeout=1)
        while message is not None:
            batch.append(message["data"])
            message = pubsub.get_message() if len(batch) < BATCH else None
        if not batch:
            continue
        pipeline = client.pipeline(transaction=False)
        for raw in batch:
            envelope = decode(raw)
            data, rest = envelope["data"], (envelope["timestamp"], envelope["sender"])
            fields = (
                f'"total": {data["total"]}, "unrealized": {data["unrealized"]}, '
                f'"realized": {data["realized"]}, "converted": {data["converted"]}, '
                f'"timestamp": "{data["timestamp"]}"}}, '
                f'"timestamp": "{rest[0]}", "sender": "{rest[1]}"}}'
            )
            symbol = data["symbol"]
            pipeline.publish(
                f"TICKER_PERFORMANCE_{symbol}", f'{{"data": {{"symbol": "{symbol}", {fields}'
            )
            pipeline.publish(
                "TICKER_PERFORMANCE_AGGREGATE", f'{{"data": {{"symbol": "aggregate", {fields}'
            )
        pipeline.execute()


if __name__ == "__main__":
    run(sys.argv[1])
