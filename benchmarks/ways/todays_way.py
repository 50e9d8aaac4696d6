"""Today's way: a plain listener that rewrites the daily JSON, and publishes twice, per report.

In its favour: nothing is checked, a report is forgotten once it is added, and the file is renamed
into place without a sync.
"""

import json
import sys
from pathlib import Path
from typing import Any

import redis

FIELDS = ("total", "unrealized", "realized", "converted")


def run(url: str, path: Path) -> None:
    """Serve until killed."""
    client = redis.Redis.from_url(url, protocol=2)
    pubsub = client.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe("PROFIT_REPORT")
    figures: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.exists() else {}
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
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(figures))
        temporary.replace(path)
        for symbol in (data["symbol"], "aggregate"):
            body = {"data": {"symbol": symbol, **figures[symbol]}, "sender": "today"}
            client.publish(f"TICKER_PERFORMANCE_{symbol.upper()}", json.dumps(body))


if __name__ == "__main__":
    run(sys.argv[1], Path(sys.argv[2]))
