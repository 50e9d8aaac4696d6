"""How old what the front end shows is: from a bot's PUBLISH until it is visible in Firebase.

Every report adds one cent, so that a figure says which reports are in it: a report is visible when
the first figure that has it is. Reports of the first two seconds warm up and are not counted.

    python -m benchmarks.freshness [--runs 5] [--quick] [--only quiet,middle,heavy] [--ways ours]
"""

import dataclasses
import random
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from app.channels import AGGREGATE
from app.dev.processes import wait_until
from app.domain import to_text
from benchmarks.load import Sender, published
from benchmarks.results import Goal, Spread, conclude, options, table
from benchmarks.seen import Observer, Seen
from benchmarks.stage import PATIENCE, Firebase, Stage, Used, staged

WARM_UP_SECONDS = 2.0
PERCENTILES = (50, 90, 99)
CENT = 0.01
_SETTLE_SECONDS = 30.0


@dataclass(frozen=True)
class Traffic:
    """How much is reported, and how far away Firebase is."""

    name: str
    title: str
    symbols: int
    rate: float
    """Reports per second."""
    seconds: float
    away: float
    """Seconds from a request to its answer, beside what the server needs."""
    regular: bool = True
    """Else the pauses are half to one and a half as long, by chance."""


TRAFFIC = {
    one.name: one
    for one in (
        Traffic("quiet", "quiet, local Firebase", 5, 13.3, 12.0, 0.0, regular=False),
        Traffic("middle", "1,000 reports/s, 500 symbols, 50 ms away", 500, 1_000, 10.0, 0.05),
        Traffic("heavy", "5,000 reports/s, 2,000 symbols, 50 ms away", 2_000, 5_000, 10.0, 0.05),
    )
}


@dataclass
class Run:
    """What one run came to, in milliseconds from PUBLISH to visible."""

    way: str
    traffic: str
    reports: int
    percentiles: dict[str, float] = field(default_factory=dict)
    """Of a report until its symbol shows it: p50, p90, p99, max."""
    account: dict[str, float] = field(default_factory=dict)
    """Of a report until the account shows it."""
    unseen: int = 0
    """Reports that were not visible when the run ended."""
    steps_back: int = 0
    """Figures that were older than what was visible already."""
    requests: float = 0.0
    """To Firebase, per second of the run."""
    cpu: dict[str, float] = field(default_factory=dict)
    """Cores that each program kept busy."""


@dataclass
class Sent:
    """When each report was sent: by symbol, and all of them, in order."""

    by_symbol: dict[str, list[float]]
    every: list[float]
    counted_from: float


def send(stage: Stage, traffic: Traffic) -> Sent:
    """Send reports at the rate of the traffic, each when its time has come."""
    chance = random.Random(traffic.symbols)
    names = [f"SYM{number:05}" for number in range(traffic.symbols)]
    count = round((WARM_UP_SECONDS + traffic.seconds) * traffic.rate)
    order = chance.choices(names, k=count)
    pauses = [1.0 if traffic.regular else chance.uniform(0.5, 1.5) for _ in order]
    begin = time.time_ns() // 1000 - count
    local = datetime.now().isoformat(timespec="milliseconds")
    commands = [
        published(
            f'{{"data": {{"symbol": "{symbol}", "total": {CENT}, "unrealized": {CENT}, '
            f'"realized": 0, "converted": 0, "timestamp": "{to_text(begin + number)}"}}, '
            f'"timestamp": "{local}", "sender": "scale_t"}}'.encode()
        )
        for number, symbol in enumerate(order)
    ]
    sender = Sender(stage.url)
    sent = Sent(defaultdict(list), [], 0.0)
    due = time.monotonic()
    sent.counted_from = due + WARM_UP_SECONDS
    number = 0
    while number < count:
        now = time.monotonic()
        first = number
        while number < count and due <= now:
            due += pauses[number] / traffic.rate
            number += 1
        if number > first:
            # All that is due goes in one write, and its time is that of the write.
            sender.send(b"".join(commands[first:number]))
            for symbol in order[first:number]:
                sent.by_symbol[symbol].append(now)
            sent.every += [now] * (number - first)
        else:
            time.sleep(due - now)
    sender.close()
    return sent


def waited(
    sent: Sequence[float], seen: Sequence[Seen], counted_from: float
) -> tuple[list[float], int, int]:
    """How long the reports of one symbol waited until it showed them.

    Returns:
        Milliseconds of each report that was seen, how many were not, and how many figures were
        older than the one before.
    """
    milliseconds = []
    shown = steps_back = 0
    for one in seen:
        has = round(one.figures["total"] / CENT)
        steps_back += has < shown
        milliseconds += [(one.at - at) * 1000 for at in sent[shown:has] if at >= counted_from]
        shown = max(shown, has)
    return milliseconds, len(sent) - shown, steps_back


def percentiles(milliseconds: list[float]) -> dict[str, float]:
    """P50, p90, p99 and the longest."""
    if len(milliseconds) < 2:
        return {}
    cuts = statistics.quantiles(milliseconds, n=100, method="inclusive")
    return {f"p{part}": cuts[part - 1] for part in PERCENTILES} | {"max": max(milliseconds)}


def judge(run: Run, sent: Sent, seen: Sequence[Seen]) -> None:
    """Put what was sent and what was seen together."""
    by_symbol = defaultdict(list)
    for one in seen:
        by_symbol[one.symbol].append(one)
    every: list[float] = []
    for symbol, at in sent.by_symbol.items():
        milliseconds, unseen, steps_back = waited(at, by_symbol[symbol], sent.counted_from)
        every += milliseconds
        run.unseen += unseen
        run.steps_back += steps_back
    run.percentiles = percentiles(every)
    account, _, steps_back = waited(sent.every, by_symbol[AGGREGATE], sent.counted_from)
    run.account = percentiles(account)
    run.steps_back += steps_back


def is_current(firebase: Firebase, sent: Sent) -> bool:
    """Whether Firebase shows all that was sent."""
    shown = firebase.performances()
    return all(
        round(shown.get(symbol, {}).get("total", 0) / CENT) == len(at)
        for symbol, at in (*sent.by_symbol.items(), (AGGREGATE, sent.every))
    )


def measure_ours(stage: Stage, traffic: Traffic, run: Run) -> None:
    """The bridge, with everything on."""
    ours = stage.start_ours()
    ours.firebase.put_away(traffic.away)
    observer = Observer(stage, ours.firebase)
    ours.firebase.control({"clear": ["counters"]})
    used = Used(
        {
            "bridge": ours.bridge,
            "worker": ours.worker,
            "redis": stage.redis_server,
            "firebase": ours.firebase.process,
        }
    )
    sent = send(stage, traffic)
    seconds = WARM_UP_SECONDS + traffic.seconds
    run.cpu = {name: used_up / seconds for name, used_up in used.so_far().items()}
    run.requests = ours.firebase.control()["requests"]["total"] / seconds
    run.reports = len(sent.every)
    give_up_at = time.monotonic() + _SETTLE_SECONDS
    while not is_current(ours.firebase, sent) and time.monotonic() < give_up_at:
        time.sleep(0.5)
    # What has just become visible is still on its way to the observer.
    time.sleep(0.5)
    judge(run, sent, observer.end())


def measure_today(stage: Stage, traffic: Traffic, run: Run) -> None:
    """A listener that writes to Firebase itself, one report after the other."""
    firebase = stage.start_firebase()
    wait_until(firebase.is_ready, PATIENCE, "answer of Firebase", [firebase.process])
    listener = stage.start("writer", "-m", "benchmarks.ways.synchronous_writer", ready="listening")
    firebase.put_away(traffic.away)
    observer = Observer(stage, firebase)
    firebase.control({"clear": ["counters"]})
    used = Used({"writer": listener})
    # What it cannot keep up with in a few seconds it will not in more.
    few = min(traffic.seconds, 5.0) if traffic.away else traffic.seconds
    sent = send(stage, dataclasses.replace(traffic, seconds=few))
    seconds = sent.every[-1] - sent.every[0]
    run.cpu = {name: used_up / seconds for name, used_up in used.so_far().items()}
    run.requests = firebase.control()["requests"]["total"] / seconds
    run.reports = len(sent.every)
    time.sleep(0.2)
    judge(run, sent, observer.end())


WAYS: dict[str, Callable[[Stage, Traffic, Run], None]] = {
    "ours": measure_ours,
    "today": measure_today,
}


def described(run: Run) -> str:
    """Return one line about a run, to show progress."""
    times = " ".join(f"{name} {value:,.1f}" for name, value in run.percentiles.items())
    account = " ".join(f"{name} {value:,.1f}" for name, value in run.account.items())
    cpu = " ".join(f"{name} {cores:.2f}" for name, cores in run.cpu.items())
    return (
        f"{run.way:6} {run.traffic:6} {run.reports:6,} reports  ms: {times}  (account: {account})  "
        f"unseen {run.unseen:,}  steps back {run.steps_back}  {run.requests:,.1f} requests/s  "
        f"cores: {cpu}"
    )


def summary(runs: Sequence[Run]) -> str:
    """The table of all ways and loads."""
    rows = []
    for way, name in dict.fromkeys((run.way, run.traffic) for run in runs):
        beside = [run for run in runs if (run.way, run.traffic) == (way, name)]
        cells = [
            Spread.of(run.percentiles[part] for run in beside).text(",.1f")
            if all(part in run.percentiles for run in beside)
            else "-"
            for part in ("p50", "p90", "p99", "max")
        ]
        unseen = Spread.of(run.unseen for run in beside).text()
        requests = Spread.of(run.requests for run in beside).text(",.1f")
        rows.append((way, TRAFFIC[name].title, *cells, unseen, requests))
    return table(
        ("way", "load", "p50, ms", "p90", "p99", "longest", "not visible at end", "requests/s"),
        rows,
    )


LIMITS = {"quiet": ("p99", 25), "middle": ("p99", 400), "heavy": ("p99", 1_500)}
LONGEST_AT_MIDDLE = 1_000


def goals(runs: Sequence[Run]) -> list[Goal]:
    """What was promised about freshness."""
    found = []
    for name, traffic in TRAFFIC.items():
        beside = [run for run in runs if run.way == "ours" and run.traffic == name]
        if not beside:
            continue
        limits = [LIMITS[name]] + ([("max", LONGEST_AT_MIDDLE)] if name == "middle" else [])
        for part, limit in limits:
            spread = Spread.of(run.percentiles.get(part, float("inf")) for run in beside)
            found.append(
                Goal(
                    f"PUBLISH to visible in Firebase, {traffic.title}: {part}",
                    f"at most {limit:,} ms",
                    f"{spread.text(',.1f')} ms",
                    spread.median <= limit,
                )
            )
    ours = [run for run in runs if run.way == "ours"]
    if ours:
        back, unseen = sum(run.steps_back for run in ours), sum(run.unseen for run in ours)
        found.append(
            Goal(
                "a stored figure that steps back, or never comes",
                "none",
                f"{back} and {unseen} in {sum(run.reports for run in ours):,} reports",
                not back and not unseen,
            )
        )
    return found


def main(arguments: list[str] | None = None) -> list[Goal]:
    """Measure, print and save."""
    parser = options("freshness", __doc__, runs=5)
    parser.add_argument("--only", default=",".join(TRAFFIC), help=f"of {', '.join(TRAFFIC)}")
    parser.add_argument("--ways", default=",".join(WAYS), help=f"of {', '.join(WAYS)}")
    given = parser.parse_args(arguments)
    runs = []
    for number in range(1 if given.quick else given.runs):
        for name in given.only.split(","):
            traffic = TRAFFIC[name]
            if given.quick:
                traffic = dataclasses.replace(traffic, seconds=traffic.seconds / 2)
            for way in given.ways.split(","):
                if way == "today" and name == "heavy":
                    continue  # it saturates far below
                run = Run(way, name, 0)
                with staged() as stage:
                    WAYS[way](stage, traffic, run)
                print(f"{number + 1} {described(run)}", flush=True)
                runs.append(run)
    print(summary(runs))
    return conclude("freshness", runs, goals(runs), given)


if __name__ == "__main__":
    sys.exit(not all(goal.met for goal in main()))
