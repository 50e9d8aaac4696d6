"""What publishing costs a bot: `RedisPublisher.publish` beside the plain PUBLISH of redis-py.

Both build and encode the same envelope; ours also journals the report. One listener is there that
costs nothing. Batches alternate.

    python -m benchmarks.publish [--runs 20] [--quick]
"""

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import redis

from app.channels import PROFIT_REPORT
from app.publisher import RedisPublisher
from benchmarks.freshness import percentiles
from benchmarks.load import connect
from benchmarks.results import Goal, Spread, conclude, options, table
from benchmarks.stage import Stage, staged

BATCH = 500
QUICK = 5
_WARM_UP = 100


@dataclass
class Run:
    """One batch of one way, in microseconds per call."""

    way: str
    p50: float
    p99: float


def report() -> dict[str, Any]:
    """The data of a report, as a bot has it."""
    return {
        "symbol": "SOFI",
        "total": 28.76,
        "unrealized": 28.76,
        "realized": 0,
        "converted": 0,
        "timestamp": datetime.now(UTC).isoformat(timespec="microseconds"),
    }


def ways(stage: Stage) -> dict[str, Callable[[dict[str, Any]], object]]:
    """Each publishes one report."""
    os.environ["REDIS_URL"] = stage.url
    publisher = RedisPublisher(stage.url, spool=stage.folder / "spool")
    client = redis.Redis.from_url(stage.url, protocol=2)

    def plain(data: dict[str, Any]) -> object:
        local = datetime.now().isoformat(timespec="milliseconds")
        envelope = {"data": data, "timestamp": local, "sender": "scale_t"}
        return client.publish(PROFIT_REPORT, json.dumps(envelope))

    return {
        "ours": lambda data: publisher.publish(PROFIT_REPORT, data, sender="scale_t"),
        "plain": plain,
    }


def batch(way: str, publish: Callable[[dict[str, Any]], object], calls: int) -> Run:
    """Time single calls."""
    microseconds = []
    for _ in range(calls):
        data = report()
        begin = time.perf_counter_ns()
        publish(data)
        microseconds.append((time.perf_counter_ns() - begin) / 1000)
    found = percentiles(microseconds)
    return Run(way, found["p50"], found["p99"])


def measure(batches: int) -> list[Run]:
    """Alternating batches."""
    with staged() as stage:
        listener = connect(stage.url)
        listener.sendall(b"SUBSCRIBE PROFIT_REPORT\r\n")
        every = ways(stage)
        for way, publish in every.items():
            batch(way, publish, _WARM_UP)
        runs = [batch(way, every[way], BATCH) for _ in range(batches) for way in every]
        listener.close()
        return runs


def times(runs: list[Run]) -> str:
    """The table of both ways."""
    rows = []
    for way, title in (("ours", "RedisPublisher.publish"), ("plain", "redis-py's publish")):
        beside = [run for run in runs if run.way == way]
        spreads = [Spread.of(getattr(run, part) for run in beside) for part in ("p50", "p99")]
        rows.append((title, *(spread.text(".0f") for spread in spreads)))
    return table(("way", "p50, µs", "p99, µs"), rows)


def goals(runs: list[Run]) -> list[Goal]:
    """What was promised about publishing."""
    ours = [run for run in runs if run.way == "ours"]
    plain = [run for run in runs if run.way == "plain"]
    pairs = list(zip(ours, plain, strict=True))
    ratio = Spread.of(one.p50 / other.p50 for one, other in pairs)
    times = f"{Spread.of(run.p50 for run in ours).median:.0f} µs beside "
    times += f"{Spread.of(run.p50 for run in plain).median:.0f} µs"
    return [
        Goal(
            "RedisPublisher.publish / plain PUBLISH, p50",
            "at most 1.5",
            f"{ratio.text('.2f')}, that is {times}",
            ratio.median <= 1.5,
        )
    ]


def main(arguments: list[str] | None = None) -> list[Goal]:
    """Measure, print and save."""
    given = options("publish", __doc__, runs=20).parse_args(arguments)
    runs = measure(QUICK if given.quick else given.runs)
    print(times(runs))
    return conclude("publish", runs, goals(runs), given)


if __name__ == "__main__":
    sys.exit(not all(goal.met for goal in main()))
