"""Reports per second through the whole bridge, beside the floor and the ways it replaces.

A few reports warm up, the others are sent at once and wait in Redis. The clock runs from the
first of these until all is done for the last report. For ours that is: published, in the daily file
on disk, and handed over, that is, announced in Redis as the newest value. What was counted is then
held against what was sent.

    python -m benchmarks.throughput [--runs 5] [--quick] [--only ours,floor] [--symbols 50,1000]
"""

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from app.dev.processes import wait_until
from benchmarks.results import Goal, Spread, conclude, options, table
from benchmarks.shot import Shot, Volley, volley
from benchmarks.stage import PATIENCE, staged, wait_for
from benchmarks.watching import (
    daily_figures,
    differing,
    wait_until_dispatched,
    wait_until_shown,
)

SYMBOLS = (10, 50, 100, 1_000, 10_000)
REPORTS, REPORTS_PER_SYMBOL = 150_000, 45
"""So many, and as many for each symbol: each symbol is handed over once when all is over, whether
it had ten reports or a thousand, and a run is to tell what a report costs, not how it ends."""

QUICK_REPORTS = 40_000
TODAYS_REPORTS = {10: 1_500, 50: 1_000, 1_000: 200, 10_000: 30}
"""Fewer, so that a run ends in seconds: it is as slow with the first report as with the last."""

TASKS_REPORTS = 300
_LONGEST = 180.0


@dataclass
class Run:
    """What one run of one way came to."""

    way: str
    symbols: int
    reports: int
    published: float
    """Seconds until the last report's message was heard."""
    seconds: float
    """Seconds until all was done."""
    cpu: dict[str, float] = field(default_factory=dict)
    """CPU seconds by program."""
    current: float | None = None
    """Seconds until Firebase was equal."""
    wrong: list[str] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Reports per second."""
        return self.reports / self.seconds


def run_floor(what: Volley, run: Run, *, module: str = "floor") -> None:
    """Subscribe, decode, publish twice; nothing else."""
    with staged() as stage:
        command = ("-m", f"benchmarks.ways.{module}", stage.url)
        programs = {
            "loop": stage.start("floor", *command, ready="listening"),
            "redis": stage.redis_server,
        }
        _until_published(Shot(stage, what, programs), run)


def run_bare_floor(what: Volley, run: Run) -> None:
    """The same on bare connections."""
    run_floor(what, run, module="bare_floor")


def run_today(what: Volley, run: Run) -> None:
    """A file rewritten and two messages published per report."""
    with staged() as stage:
        path = stage.folder / "today.json"
        # As it is in the middle of a day: every symbol has traded.
        path.write_text(todays_file(run.symbols))
        command = ("-m", "benchmarks.ways.todays_way", stage.url, str(path))
        programs = {
            "loop": stage.start("today", *command, ready="listening"),
            "redis": stage.redis_server,
        }
        _until_published(Shot(stage, what, programs), run)


def _until_published(shot: Shot, run: Run) -> None:
    """Fire; all is done when the last report's message is heard."""
    shot.fire()
    run.published = shot.wait_until_published(_LONGEST)
    run.seconds, run.cpu = shot.end()


def todays_file(symbols: int) -> str:
    """A daily JSON in which nothing has been earned so far."""
    record = (
        '{"total": 0.0, "unrealized": 0.0, "realized": 0.0, "converted": 0.0, '
        '"timestamp": "2025-05-15T00:00:00.000000+00:00"}'
    )
    return "{" + ", ".join(f'"SYM{number:05}": {record}' for number in range(symbols)) + "}"


def run_tasks(what: Volley, run: Run) -> None:
    """One Celery task per update, until all are stored."""
    with staged() as stage:
        firebase = stage.start_firebase()
        module = "benchmarks.ways.task_per_update"
        worker = stage.start("worker", "-m", "celery", "-A", module, "worker")
        listener = stage.start("listener", "-m", module)
        wait_until(stage.worker_listens, PATIENCE, "ready worker", [worker])
        stage.wait_for(listener, "listening")
        wait_until(firebase.is_ready, PATIENCE, "answer of Firebase", [firebase.process])
        programs = {
            "loop": listener,
            "worker": worker,
            "redis": stage.redis_server,
            "firebase": firebase.process,
        }
        shot = Shot(stage, what, programs)
        shot.fire()
        stores = 2 * len(what.load.messages)
        wait_for(lambda: firebase.control()["commits"] >= stores, _LONGEST, "end of tasks", 0.05)
        run.published = shot.seconds()
        run.seconds, run.cpu = shot.end()


def run_ours(what: Volley, run: Run) -> None:
    """The bridge, with everything on."""
    with staged() as stage:
        # Longer than the load: a bridge that fell behind by more would lose the oldest.
        ours = stage.start_ours(JOURNAL_LENGTH="1000000")
        programs = {
            "bridge": ours.bridge,
            "redis": stage.redis_server,
            "worker": ours.worker,
            "firebase": ours.firebase.process,
        }
        shot = Shot(stage, what, programs)
        shot.fire()
        run.published = shot.wait_until_published(_LONGEST)
        wait_until_shown(stage, what.load, _LONGEST)
        wait_until_dispatched(stage, what.load, _LONGEST)
        run.seconds, run.cpu = shot.end()
        expected = what.load.figures()

        def is_current() -> bool:
            return not differing(expected, ours.firebase.performances())

        wait_for(is_current, _LONGEST, "Firebase equal to what was sent", 0.1)
        run.current = shot.seconds()
        run.wrong = differing(expected, daily_figures(stage, what.load))


WAYS: dict[str, Callable[[Volley, Run], None]] = {
    "ours": run_ours,
    "floor": run_floor,
    "today": run_today,
    "tasks": run_tasks,
    "bare": run_bare_floor,
    "journal": run_ours,
}
"""`bare` is a floor below the floor; `journal` is ours, with reports that are journaled as well."""

USUAL_SYMBOLS: dict[str, tuple[int, ...]] = {
    "today": (10, 50, 1_000, 10_000),
    "tasks": (10, 50, 1_000, 10_000),
    "bare": (1_000,),
    "journal": (1_000,),
}
"""The others are run with all of SYMBOLS."""

TITLES = {
    "ours": "ours",
    "floor": "floor: decode, publish twice",
    "today": "today's way: a file per report",
    "tasks": "one Celery task per update",
    "bare": "floor on bare connections",
    "journal": "ours, every report journaled",
}


def measure(
    ways: Sequence[str], sizes: Sequence[int], runs: int, reports: int | None = None
) -> list[Run]:
    """Run every way at every size, `runs` times, one after the other.

    Args:
        ways: of WAYS.
        sizes: numbers of symbols; none: those that each way is usually run with.
        runs: of each way and size.
        reports: in one run of a fast way; none: as many as are usual for the size.
    """
    volleys: dict[tuple[int, int, bool], Volley] = {}
    done = []
    # Ours is compared with the floor and with itself at other sizes: those lie close in time.
    close = [way for way in ways if way in {"ours", "floor"}]
    order = [(symbols, way) for symbols in sizes or SYMBOLS for way in close]
    order += [
        (symbols, way)
        for way in ways
        if way not in close
        for symbols in sizes or USUAL_SYMBOLS.get(way, SYMBOLS)
    ]
    for number in range(runs):
        for symbols, way in order:
            count = reports or REPORTS + REPORTS_PER_SYMBOL * symbols
            if way == "today":
                count = TODAYS_REPORTS.get(symbols, 100)
            elif way == "tasks":
                count = TASKS_REPORTS
            key = (count, symbols, way == "journal")
            if key not in volleys:
                volleys[key] = volley(count, symbols, journal=way == "journal")
            run = Run(way, symbols, count, 0.0, 0.0)
            WAYS[way](volleys[key], run)
            print(f"{number + 1}/{runs} {described(run)}", flush=True)
            done.append(run)
    return done


def described(run: Run) -> str:
    """Return one line about a run, to show progress."""
    per = 100_000 / run.reports
    cpu = "  ".join(f"{name} {seconds * per:.2f}" for name, seconds in run.cpu.items())
    current = f"  Firebase current after {run.current:.2f} s" if run.current else ""
    wrong = f"  WRONG: {', '.join(sorted(run.wrong)[:3])}" if run.wrong else ""
    return (
        f"{run.way:7} {run.symbols:6,} symbols  {run.rate:7,.0f} reports/s "
        f"({run.reports / run.published:7,.0f} until published)  "
        f"CPU s per 100,000: {cpu}{current}{wrong}"
    )


def by_way_and_size(runs: Iterable[Run]) -> dict[tuple[str, int], list[Run]]:
    """The runs that belong together."""
    found = defaultdict(list)
    for run in runs:
        found[run.way, run.symbols].append(run)
    return dict(found)


def goals(runs: Sequence[Run]) -> list[Goal]:
    """What was promised about throughput, as far as it was measured."""
    every = by_way_and_size(runs)
    found = []
    for (way, symbols), ours in every.items():
        if way != "ours":
            continue
        rate = Spread.of(run.rate for run in ours)
        for other, least in (("floor", 0.8), ("tasks", 30.0)):
            if (other, symbols) in every:
                # Runs that lay beside each other in time are compared with each other.
                pairs = zip(ours, every[other, symbols], strict=True)
                ratio = Spread.of(one.rate / beside.rate for one, beside in pairs)
                what = f"throughput at {symbols:,} symbols: ours / {TITLES[other]}"
                measured = f"{ratio.text('.2f')}, that is {rate.text()} reports/s"
                found.append(Goal(what, f"at least {least:g}", measured, ratio.median >= least))
    sizes = {symbols: beside for (way, symbols), beside in every.items() if way == "ours"}
    if len(sizes) > 1:
        # Each in parts of the first size's cost in the same round, when the machine was as fast.
        first = next(iter(sizes.values()))
        costs = {
            symbols: Spread.of(
                one.rate / run.rate for one, run in zip(first, beside, strict=True)
            ).median
            for symbols, beside in sizes.items()
        }
        factor = max(costs.values()) / min(costs.values())
        what = f"cost per report, {min(costs):,} to {max(costs):,} symbols: largest / smallest"
        found.append(Goal(what, "at most 1.3", f"{factor:.2f}", factor <= 1.3))
    wrong = sum(bool(run.wrong) for run in runs)
    if sizes:
        found.append(Goal("every sum exact afterwards", "all runs", f"{wrong} wrong", not wrong))
    return found


def rates(runs: Iterable[Run]) -> str:
    """The table of all ways and sizes."""
    return table(
        ("way", "symbols", "reports/s", "until published", "CPU s per 100,000 reports"),
        [
            (
                TITLES[way],
                f"{symbols:,}",
                Spread.of(run.rate for run in beside).text(),
                Spread.of(run.reports / run.published for run in beside).text(),
                ", ".join(
                    f"{name} "
                    + Spread.of(run.cpu[name] * 100_000 / run.reports for run in beside).text(".2f")
                    for name in beside[0].cpu
                ),
            )
            for (way, symbols), beside in sorted(by_way_and_size(runs).items())
        ],
    )


def main(arguments: list[str] | None = None) -> list[Goal]:
    """Measure, print and save."""
    parser = options("throughput", __doc__, runs=5)
    parser.add_argument("--only", default=",".join(WAYS), help=f"of {', '.join(WAYS)}")
    parser.add_argument("--symbols", default="", help="for all ways; by commas")
    parser.add_argument("--reports", type=int, help="in each run of a fast way")
    given = parser.parse_args(arguments)
    runs = measure(
        given.only.split(","),
        [int(word) for word in given.symbols.split(",") if word],
        1 if given.quick else given.runs,
        given.reports or (QUICK_REPORTS if given.quick else None),
    )
    print(rates(runs))
    return conclude("throughput", runs, goals(runs), given)


if __name__ == "__main__":
    sys.exit(not all(goal.met for goal in main()))
