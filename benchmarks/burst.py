"""What a burst costs Firebase, and how soon all is current after it.

200,000 reports of 5,000 symbols are sent as fast as Redis takes them. Counted are the requests that
reached Firebase, and the seconds until it showed every symbol's last figures, since the last
report was sent, and since the bridge had taken it in and published it.

    python -m benchmarks.burst [--runs 5] [--quick]
"""

import sys
from dataclasses import dataclass, field
from typing import Any

from benchmarks.results import Goal, Spread, conclude, options
from benchmarks.seen import Observer, Seen
from benchmarks.shot import Shot, Volley, volley
from benchmarks.stage import staged, wait_for
from benchmarks.watching import daily_figures, differing

REPORTS, SYMBOLS = 200_000, 5_000
QUICK_REPORTS = 40_000
_LONGEST = 180.0


@dataclass
class Run:
    """What one burst came to."""

    reports: int
    sent: float
    """Seconds in which all reports were sent."""
    published: float
    """Seconds until the last was published by the bridge."""
    current: float
    """Seconds until Firebase showed everything."""
    requests: int
    """Writes that reached Firebase."""
    kilobytes: float
    """That came to be visible, as JSON."""
    wrong: list[str] = field(default_factory=list)


def measure(what: Volley) -> Run:
    """One burst."""
    with staged() as stage:
        ours = stage.start_ours()
        shot = Shot(stage, what, {"bridge": ours.bridge})
        observer = Observer(stage, ours.firebase)
        ours.firebase.control({"clear": ["counters"]})
        shot.fire()
        published = shot.wait_until_published(_LONGEST)
        expected = what.load.figures()
        wait_for(
            lambda: not differing(expected, ours.firebase.performances()),
            _LONGEST,
            "Firebase equal to what was sent",
            0.25,
        )
        counted = ours.firebase.control()["requests"]
        wrong = differing(expected, daily_figures(stage, what.load))
        shot.end()
        seen = observer.end()
        return Run(
            reports=what.count,
            sent=shot.sent - shot.start,
            published=published,
            current=current_at(seen, expected) - shot.start,
            requests=sum(counted.get(method, 0) for method in ("PUT", "PATCH")),
            kilobytes=sum(len(repr(one.figures)) for one in seen) / 1000,
            wrong=wrong,
        )


def current_at(seen: list[Seen], expected: dict[str, Any]) -> float:
    """When the last figure that was still missing came to be visible."""
    last: dict[str, float] = {}
    for one in seen:
        if one.figures == expected.get(one.symbol):
            last.setdefault(one.symbol, one.at)
    return max(last.values())


def goals(runs: list[Run]) -> list[Goal]:
    """What was promised about bursts."""
    requests = Spread.of(run.requests for run in runs)
    after = Spread.of(run.current - run.published for run in runs)
    since_sent = Spread.of(run.current - run.sent for run in runs)
    wrong = sum(bool(run.wrong) for run in runs)
    burst = f"burst of {runs[0].reports:,} reports, {SYMBOLS:,} symbols"
    return [
        Goal(
            f"{burst}: requests to Firebase",
            "at most 2,000",
            requests.text(),
            requests.median <= 2_000,
        ),
        Goal(
            f"{burst}: all current after the last report was taken in",
            "within 3 s",
            f"{after.text('.2f')} s ({since_sent.text('.2f')} s after it was sent)",
            after.median <= 3,
        ),
        Goal(f"{burst}: every sum exact", "all runs", f"{wrong} wrong", not wrong),
    ]


def main(arguments: list[str] | None = None) -> list[Goal]:
    """Measure, print and save."""
    parser = options("burst", __doc__, runs=5)
    parser.add_argument("--reports", type=int, help=f"{REPORTS}, or {QUICK_REPORTS}")
    given = parser.parse_args(arguments)
    what = volley(given.reports or (QUICK_REPORTS if given.quick else REPORTS), SYMBOLS)
    runs = []
    for number in range(1 if given.quick else given.runs):
        run = measure(what)
        print(
            f"burst {number + 1}: sent in {run.sent:.2f} s, published after {run.published:.2f} s, "
            f"current in Firebase after {run.current:.2f} s, {run.requests:,} requests, "
            f"{run.kilobytes:,.0f} kB, {len(run.wrong)} wrong",
            flush=True,
        )
        runs.append(run)
    return conclude("burst", runs, goals(runs), given)


if __name__ == "__main__":
    sys.exit(not all(goal.met for goal in main()))
