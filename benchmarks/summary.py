"""The last runs as one page for people."""

from collections.abc import Callable
from typing import Any

from benchmarks import burst, freshness, orders, publish, soak, throughput
from benchmarks.results import GOAL_HEAD, Goal, Spread, load, table

Rows = list[dict[str, Any]]


def _of_throughput(runs: Rows) -> str:
    return throughput.rates([throughput.Run(**run) for run in runs])


def _of_freshness(runs: Rows) -> str:
    return freshness.summary([freshness.Run(**run) for run in runs])


def _of_bursts(runs: Rows) -> str:
    every = [burst.Run(**run) for run in runs]
    return table(
        ("sent in, s", "published after, s", "all current after, s", "requests", "kB"),
        [
            (
                Spread.of(run.sent for run in every).text(".2f"),
                Spread.of(run.published for run in every).text(".2f"),
                Spread.of(run.current for run in every).text(".2f"),
                Spread.of(run.requests for run in every).text(),
                Spread.of(run.kilobytes for run in every).text(),
            )
        ],
    )


def _of_orders(runs: Rows) -> str:
    return orders.summary([orders.Run(**run) for run in runs])


def _of_publishing(runs: Rows) -> str:
    return publish.times([publish.Run(**run) for run in runs])


def _of_a_soak(runs: Rows) -> str:
    return soak.grown([soak.Look(**run) for run in runs])


PARTS: dict[str, tuple[str, Callable[[Rows], str]]] = {
    "throughput": ("Reports per second", _of_throughput),
    "freshness": ("From PUBLISH to visible in Firebase", _of_freshness),
    "burst": ("A burst", _of_bursts),
    "orders": ("Figures during a flood of orders", _of_orders),
    "publish": ("Publishing from a bot", _of_publishing),
    "soak": ("A million reports", _of_a_soak),
    "rollover": ("A day that ends in the middle", _of_a_soak),
}


def markdown() -> str:
    """Return the goals, what was measured, and on what machine; every part must have run."""
    measured = {name: load(name) for name in PARTS}
    reached = [Goal(**goal).cells() for found in measured.values() for goal in found["goals"]]
    lines = [
        "# Measured",
        "",
        "Written by `make bench`. Medians of alternating runs; least and most in parentheses.",
        "",
        table(GOAL_HEAD, reached),
    ]
    for name, found in measured.items():
        title, describe = PARTS[name]
        on = ", ".join(f"{what} {value}" for what, value in found["machine"].items())
        lines += ["", f"## {title}", "", describe(found["runs"]), "", f"Measured on: {on}."]
    return "\n".join(lines) + "\n"
