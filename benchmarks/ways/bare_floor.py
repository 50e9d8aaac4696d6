"""A lower floor: as `floor`, but past redis-py's clients, on its bare connections.

No one would write a listener like this; it shows what is left to gain.
"""

import sys
from typing import Any

import hiredis
import msgspec
import redis

BATCH = 500


def run(url: str) -> None:
    """Serve until killed."""
    pool = redis.ConnectionPool.from_url(url, protocol=2)
    subscription, publisher = pool.make_connection(), pool.make_connection()
    for connection in (subscription, publisher):
        connection.connect()
    subscription.send_command("SUBSCRIBE", "PROFIT_REPORT")
    subscription.read_response()
    decode = msgspec.json.Decoder().decode
    pack: Any = hiredis.pack_command
    read, answer = subscription.read_response, publisher.read_response
    print("listening", flush=True)
    while True:
        batch: list[Any] = [read()[2]]
        while len(batch) < BATCH and subscription.can_read(0):
            batch.append(read()[2])
        commands = []
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
            first = f'{{"data": {{"symbol": "{symbol}", {fields}'
            second = f'{{"data": {{"symbol": "aggregate", {fields}'
            commands.append(pack(("PUBLISH", f"TICKER_PERFORMANCE_{symbol}", first)))
            commands.append(pack(("PUBLISH", "TICKER_PERFORMANCE_AGGREGATE", second)))
        publisher.send_packed_command([b"".join(commands)], check_health=False)
        for _ in commands:
            answer()


if __name__ == "__main__":
    run(sys.argv[1])
