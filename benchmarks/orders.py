"""A flood of large orders, and how old the figures of another ticker are meanwhile.

One ticker sends 100 orders a second of 50 KB, six times what the limit on writes lets through.
Another one reports a cent ten times a second. Firebase is 50 ms away.

    python -m benchmarks.orders [--runs 3] [--quick]
"""

import json
import sys
import time
from dataclasses import dataclass, field

from app.channels import RedisNames
from app.domain import to_text
from benchmarks.freshness import CENT, percentiles, waited
from benchmarks.load import Sender, published
from benchmarks.results import Goal, Spread, conclude, options, table
from benchmarks.seen import Observer
from benchmarks.stage import Stage, staged

ORDERS_PER_SECOND, ORDER_BYTES = 100, 50_000
ORDERS_PER_REPORT = 10
SECONDS, QUICK_SECONDS = 30, 10
AWAY = 0.05
SYMBOL, FLOODED = "SOFI", "FLOOD"
LIMIT_MS = 1_000

_NAMES = RedisNames("")
_SETTLE_SECONDS = 30.0


@dataclass
class Run:
    """What one run came to."""

    orders: int = 0
    reports: int = 0
    percentiles: dict[str, float] = field(default_factory=dict)
    """Milliseconds from a report's PUBLISH until it is visible: p50, p90, p99, max."""
    unseen: int = 0
    """Reports that were not visible in the end."""
    waiting: int = 0
    """Orders that waited in Redis when the last one had been sent."""


def _order(number: int) -> bytes:
    """Return the command that publishes an order."""
    order = {"id": f"order-{number}", "notes": "x" * (ORDER_BYTES - 300)}
    data = {
        "type": "order",
        "symbol": FLOODED,
        "timestamp": to_text(time.time_ns() // 1000),
        "order_data": {"event": "fill", "price": "12.34", "qty": "10", "order": order},
    }
    message = json.dumps({"data": data, "sender": "broker"}).encode()
    channel = _NAMES.updates_channel(FLOODED).encode()
    words = (b"PUBLISH", channel, message)
    return b"*3\r\n" + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def _report() -> bytes:
    """Return the command that publishes a report."""
    amounts = {"total": CENT, "unrealized": CENT, "realized": 0.0, "converted": 0.0}
    timestamp = to_text(time.time_ns() // 1000)
    data = {"symbol": SYMBOL, **amounts, "timestamp": timestamp}
    return published(json.dumps({"data": data, "sender": "scale_t"}).encode())


def measure(stage: Stage, seconds: float) -> Run:
    """Send orders and reports, and see when each report becomes visible."""
    ours = stage.start_ours()
    ours.firebase.put_away(AWAY)
    observer = Observer(stage, ours.firebase)
    sender = Sender(stage.url)
    run = Run(orders=round(seconds * ORDERS_PER_SECOND))
    sent: list[float] = []
    begin = time.monotonic()
    for number in range(run.orders):
        time.sleep(max(0.0, begin + number / ORDERS_PER_SECOND - time.monotonic()))
        sender.send(_order(number))
        if number % ORDERS_PER_REPORT == 0:
            sent.append(time.monotonic())
            sender.send(_report())
    run.waiting = int(stage.redis.zcard(_NAMES.open_orders))
    sender.close()
    give_up_at = time.monotonic() + _SETTLE_SECONDS
    while time.monotonic() < give_up_at:
        shown = ours.firebase.performances().get(SYMBOL, {})
        if round(shown.get("total", 0) / CENT) == len(sent):
            break
        time.sleep(0.5)
    # What has just become visible is still on its way to the observer.
    time.sleep(0.5)
    seen = [one for one in observer.end() if one.symbol == SYMBOL]
    milliseconds, run.unseen, _ = waited(sent, seen, begin)
    run.reports, run.percentiles = len(sent), percentiles(milliseconds)
    return run


def summary(runs: list[Run]) -> str:
    """The table of all runs."""
    parts = ("p50", "p99", "max")
    cells = [
        Spread.of(run.percentiles.get(part, float("inf")) for run in runs).text(",.0f")
        for part in parts
    ]
    waiting = Spread.of(run.waiting for run in runs).text()
    return table(("p50, ms", "p99, ms", "longest, ms", "orders waiting"), [(*cells, waiting)])


def goals(runs: list[Run]) -> list[Goal]:
    """What was promised."""
    spread = Spread.of(run.percentiles.get("p99", float("inf")) for run in runs)
    unseen = sum(run.unseen for run in runs)
    return [
        Goal(
            "100 orders/s of 50 KB: another ticker's report visible, p99",
            f"at most {LIMIT_MS:,} ms",
            f"{spread.text(',.0f')} ms, {unseen} never",
            spread.median <= LIMIT_MS and not unseen,
        )
    ]


def main(arguments: list[str] | None = None) -> list[Goal]:
    """Measure, print and save."""
    given = options("orders", __doc__, runs=3).parse_args(arguments)
    runs = []
    for number in range(1 if given.quick else given.runs):
        with staged() as stage:
            run = measure(stage, QUICK_SECONDS if given.quick else SECONDS)
        times = " ".join(f"{name} {value:,.0f}" for name, value in run.percentiles.items())
        print(
            f"{number + 1}: {run.orders:,} orders, {run.reports:,} reports  ms: {times}  "
            f"unseen {run.unseen}  {run.waiting:,} orders waiting",
            flush=True,
        )
        runs.append(run)
    print(summary(runs))
    return conclude("orders", runs, goals(runs), given)


if __name__ == "__main__":
    sys.exit(not all(goal.met for goal in main()))
