"""Numbers of several runs: median and spread, tables for people, and JSON for later ones."""

import argparse
import dataclasses
import json
import platform
import statistics
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from app.dev.redis_server import find_redis_server

GOAL_HEAD = ("what", "goal", "measured", "met")
RESULTS = Path(__file__).parent / "results"
"""The table and the pictures; in git."""

RUNS = Path(__file__).parent / "runs"
"""Every run as JSON, which the table and the pictures are made of; not in git."""


@dataclass(frozen=True)
class Spread:
    """The median of some runs, and how far they lie apart."""

    median: float
    least: float
    most: float
    runs: int

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """Return the spread of one number per run."""
        every = list(values)
        return cls(statistics.median(every), min(every), max(every), len(every))

    def text(self, form: str = ",.0f") -> str:
        """Return the median, and least to most, for a table."""
        if self.runs == 1:
            return f"{self.median:{form}}"
        return f"{self.median:{form}} ({self.least:{form}} to {self.most:{form}})"

    def as_json(self) -> dict[str, float]:
        """Return the numbers for a JSON file."""
        return {name: round(value, 4) for name, value in vars(self).items()}


@dataclass(frozen=True)
class Goal:
    """One line of the table of goals: what was promised, and what was measured."""

    what: str
    goal: str
    measured: str
    met: bool

    def cells(self) -> tuple[str, str, str, str]:
        """Return the cells of a table."""
        return self.what, self.goal, self.measured, "yes" if self.met else "NO"


def machine() -> dict[str, str]:
    """Describe the machine, and when it was."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    cores = sum(
        line.startswith("processor") for line in Path("/proc/cpuinfo").read_text().splitlines()
    )
    server = subprocess.run(
        [find_redis_server(), "--version"], capture_output=True, text=True, check=True
    ).stdout.split(" sha=")[0]
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": model,
        "cores": str(cores),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "redis": server.strip(),
        "redis-py": f"{version('redis')}, hiredis {version('hiredis')}",
        "celery": version("celery"),
    }


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table that reads well as plain text too."""
    lines = [tuple(head), *map(tuple, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    text = [
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    ]
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(text)


def save(name: str, results: dict[str, Any]) -> Path:
    """Write the results of one script, and the machine, to benchmarks/runs/NAME.json."""
    RUNS.mkdir(exist_ok=True)
    path = RUNS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine()} | results, indent=1) + "\n")
    return path


def load(name: str) -> dict[str, Any]:
    """Return what `save` wrote."""
    found: dict[str, Any] = json.loads((RUNS / f"{name}.json").read_text())
    return found


def is_measured(name: str) -> bool:
    return (RUNS / f"{name}.json").exists()


def options(name: str, description: str | None, runs: int) -> argparse.ArgumentParser:
    """Return a parser with the options that every script has."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runs", type=int, default=runs, help=f"of each way, {runs}")
    parser.add_argument("--quick", action="store_true", help="once, and less of it")
    parser.add_argument("--no-save", action="store_true", help="print only")
    return parser


def conclude(name: str, runs: Sequence[Any], goals: Sequence[Goal], given: Any) -> list[Goal]:
    """Print the goals and what was measured, and save both unless `--no-save` is given."""
    if goals:
        print(table(GOAL_HEAD, [goal.cells() for goal in goals]))
    if not given.no_save:
        every = [dataclasses.asdict(run) for run in runs]
        save(name, {"runs": every, "goals": [dataclasses.asdict(goal) for goal in goals]})
    return list(goals)
