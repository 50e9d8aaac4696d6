"""Today's way: a plain listener that rewrites the daily JSON, and publishes twice, per report.

In its favour: nothing is checked, a report is forgotten once it is added, and the file is renamed
into place without a sync.
"""

import json
import sys
from pathlib import Path

import redis

from benchmarks.ways.listener import Figures, changes


def run(url: str, path: Path) -> None:
    """Serve until killed."""
    client = redis.Redis.from_url(url, protocol=2)
    figures: Figures = json.loads(path.read_text()) if path.exists() else {}
    for changed in changes(client, figures):
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(figures))
        temporary.replace(path)
        for symbol in changed:
            body = {"data": {"symbol": symbol, **figures[symbol]}, "sender": "today"}
            client.publish(f"TICKER_PERFORMANCE_{symbol.upper()}", json.dumps(body))


if __name__ == "__main__":
    run(sys.argv[1], Path(sys.argv[2]))
