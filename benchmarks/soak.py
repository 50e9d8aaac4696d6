"""What the bridge comes to hold over a million reports: memory, file handles, the ledger.

Reports come at a steady rate, of 10,000 symbols. After every tenth of them the bridge is let to
finish, and looked at. With `--rollover` the day ends in the middle; what each day's file shows is
then held against what was sent.

    python -m benchmarks.soak [--rollover] [--quick] [--reports 1000000] [--rate 15000]
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.accounting import FILE_NAME
from benchmarks.load import Load, Sender, build, chunks_of, paced, published
from benchmarks.results import Goal, conclude, options, table
from benchmarks.stage import ROOT, Ours, Stage, staged, wait_for
from benchmarks.watching import Announcement, Figures, differing

REPORTS, SYMBOLS, RATE = 1_000_000, 10_000, 15_000
QUICK_REPORTS = 200_000
LARGEST_MB = 150
_PARTS = 10
_TICK = 0.01
_REST = 1.5
_LONGEST = 300.0
_START_UP = 10


@dataclass
class Look:
    """The bridge after some reports."""

    reports: int
    rss_mb: float
    peak_mb: float
    handles: int
    ledger_mb: float
    redis_mb: float
    behind: float
    """Seconds from the last report sent to the last report published."""


class Sent:
    """What was reported, by day."""

    def __init__(self) -> None:
        self.days: dict[int, Load] = {}

    def add(self, load: Load) -> None:
        """Count in what is being sent."""
        held = self.days.setdefault(load.day, Load(day=load.day))
        for symbol, cents in load.sums.items():
            before = held.sums.get(symbol, (0, 0, 0, 0))
            held.sums[symbol] = tuple(  # type: ignore[assignment] # four, as before
                one + more for one, more in zip(before, cents, strict=True)
            )
        held.newest |= load.newest

    def in_firebase(self) -> Figures:
        """What the front end must show: of each symbol its newest day."""
        shown: Figures = {}
        for day in sorted(self.days):
            shown |= self.days[day].figures()
        return shown


def seconds_ahead(seconds: float) -> int:
    """How far ahead a clock must be for its day to end in `seconds`."""
    now = datetime.now(UTC)
    left = 86_400 - (now.hour * 3600 + now.minute * 60 + now.second)
    return round(left - seconds)


def look(stage: Stage, ours: Ours, reports: int, behind: float) -> Look:
    """See what the bridge holds."""
    process = Path(f"/proc/{ours.bridge.pid}")
    status = dict(
        line.split(":", 1) for line in (process / "status").read_text().splitlines() if ":" in line
    )
    files = stage.base.glob(f"{FILE_NAME}*")
    used: Any = stage.redis.info("memory")
    return Look(
        reports=reports,
        rss_mb=int(status["VmRSS"].split()[0]) / 1024,
        peak_mb=int(status["VmHWM"].split()[0]) / 1024,
        handles=len(os.listdir(process / "fd")),
        ledger_mb=sum(file.stat().st_size for file in files) / 2**20,
        redis_mb=used["used_memory"] / 2**20,
        behind=behind,
    )


def soak(stage: Stage, reports: int, rate: int, *, rollover: bool, sent: Sent) -> Iterator[Look]:
    """Send, and look after every part; in the end check every figure.

    Raises:
        RuntimeError: a figure is wrong.
    """
    bridge: tuple[str, ...] = ()
    ahead = 0
    if rollover:
        ahead = seconds_ahead(_START_UP + (reports / rate + _PARTS * _REST) / 2)
        bridge = (str(ROOT / "tests/faults/bridge_with_clock.py"), str(ahead))
    ours = stage.start_ours(*bridge)
    sender = Sender(stage.url)
    announcement = Announcement(stage.url)
    part = reports // _PARTS
    for number in range(_PARTS):
        load = build(part, SYMBOLS, ahead=ahead, seed=number)
        sent.add(load)
        chunks = list(chunks_of([published(each) for each in load.messages], int(rate * _TICK)))
        sender.send_all(paced(chunks, _TICK), part)
        last_sent = time.monotonic()
        announcement.wait(_LONGEST)
        behind = time.monotonic() - last_sent
        time.sleep(_REST)
        yield look(stage, ours, (number + 1) * part, behind)
    check(stage, ours, sent)


def check(stage: Stage, ours: Ours, sent: Sent) -> None:
    """Hold what files and Firebase show against what was sent."""
    expected = sent.in_firebase()
    wait_for(
        lambda: not differing(expected, ours.firebase.performances()),
        _LONGEST,
        "Firebase equal to what was sent",
        0.5,
    )
    for day, load in sent.days.items():
        shown = json.loads(stage.daily_file(day).read_bytes())
        wrong = differing(load.figures(), shown)
        if wrong:
            raise RuntimeError(f"{len(wrong)} figures of day {day} are wrong: {sorted(wrong)[:3]}")


def grown(looks: list[Look]) -> str:
    """The table of all looks."""
    return table(
        ("reports", "RSS, MB", "peak, MB", "handles", "ledger, MB", "Redis, MB", "behind, s"),
        [
            (
                f"{one.reports:,}",
                f"{one.rss_mb:.1f}",
                f"{one.peak_mb:.1f}",
                f"{one.handles}",
                f"{one.ledger_mb:.1f}",
                f"{one.redis_mb:.1f}",
                f"{one.behind:.2f}",
            )
            for one in looks
        ],
    )


def goals(looks: list[Look], days: int) -> list[Goal]:
    """What was promised about memory."""
    first, last = looks[0], looks[-1]
    largest = max(one.rss_mb for one in looks)
    growth = last.rss_mb / first.rss_mb - 1
    soaked = f"{last.reports:,} reports" + (f" over {days} days" if days > 1 else "")
    bytes_each = last.ledger_mb * 2**20 / last.reports
    handles = f"{first.handles}, then {last.handles}"
    return [
        Goal(
            f"memory of the bridge, {SYMBOLS:,} symbols, {soaked}",
            f"at most {LARGEST_MB} MB",
            f"{largest:.0f} MB",
            largest <= LARGEST_MB,
        ),
        Goal(
            f"its growth from {first.reports:,} to {soaked}",
            "at most 5 %" if days == 1 else "reported",
            f"{growth:+.1%}",
            growth <= 0.05 or days > 1,
        ),
        Goal(
            f"its file handles, {soaked}",
            "no more of them",
            handles,
            last.handles <= first.handles,
        ),
        Goal(
            f"ledger, {soaked}, every sum exact",
            "reported",
            f"{last.ledger_mb:.0f} MB, {bytes_each:.0f} bytes per report",
            True,
        ),
    ]


def main(arguments: list[str] | None = None) -> list[Goal]:
    """Measure, print and save."""
    parser = options("soak", __doc__, runs=1)
    parser.add_argument("--rollover", action="store_true", help="the day ends in the middle")
    parser.add_argument("--reports", type=int, help=f"{REPORTS}, or {QUICK_REPORTS}")
    parser.add_argument("--rate", type=int, default=RATE, help=f"reports per second, {RATE}")
    given = parser.parse_args(arguments)
    reports = given.reports or (QUICK_REPORTS if given.quick else REPORTS)
    looks, sent = [], Sent()
    with staged() as stage:
        for one in soak(stage, reports, given.rate, rollover=given.rollover, sent=sent):
            looks.append(one)
            seen = f"{one.rss_mb:.1f} MB, {one.behind:.2f} s behind"
            print(f"{one.reports:9,} reports: {seen}", flush=True)
    print(grown(looks))
    name = "rollover" if given.rollover else "soak"
    return conclude(name, looks, goals(looks, len(sent.days)), given)


if __name__ == "__main__":
    sys.exit(not all(goal.met for goal in main()))
