"""The live table of what Firebase shows of every ticker."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console

from app.cli.options import command, json_option, positive
from app.cli.output import print_error, print_json, print_json_line, print_lines
from app.domain import FIELDS
from app.errors import SEE_DOCTOR, StopProgram
from app.operations.watch import (
    SORTS,
    Row,
    View,
    Watcher,
    changed_lines,
    changed_rows,
    render_table,
    select_rows,
    show_screen,
)
from app.settings import Settings
from app.shutdown import ShutdownRequested, ShutdownSignals

STALE_SECONDS = 300.0
ONCE_WITHIN = 10.0
"""How many seconds `--once` waits for Firebase."""

_PERIOD = 0.1
_PIPE_WIDTH = 120


@command("""
examples:
  python -m app watch                       live; ? lists the keys
  python -m app watch --sort total --filter BTC
  python -m app watch --once                the table once, for a pipe or a mail
  python -m app watch --json                a line of JSON for each figure that changes

It reads Firebase and nothing else, as the front end does: it shows what people see. Into a pipe,
without --once, it prints a line for each figure that changes.""")
@json_option
@click.option("--once", is_flag=True, help="Print the table once, and exit.")
@click.option("--sort", type=click.Choice(SORTS), default="name")
@click.option(
    "--filter", "pattern", default="", metavar="TEXT", help="Only tickers with TEXT in their name."
)
@click.option(
    "--stale",
    type=positive,
    default=STALE_SECONDS,
    metavar="SECONDS",
    help="Mark a ticker as stale after this time without a report.",
)
def watch(
    settings: Settings, as_json: bool, once: bool, sort: str, pattern: str, stale: float
) -> int:
    """Show every ticker live, as Firebase has it."""
    view = View(sort=sort, pattern=pattern)
    place = f"{settings.database_url.partition('/?')[0].rstrip('/')}/{settings.firebase_root}"
    console = Console(highlight=False)
    watcher = Watcher(settings)
    try:
        with ShutdownSignals() as signals:
            if once:
                _wait_for_all(watcher, place, signals.check)
                _print_once(watcher, view, stale, as_json, console)
            elif as_json or not console.is_terminal or console.is_dumb_terminal:
                _print_changes(watcher, view, stale, as_json, signals.check)
            else:
                show_screen(watcher, view, stale, place, console, signals)
    except ShutdownRequested:
        pass
    finally:
        watcher.close()
    return 0


def _wait_for_all(watcher: Watcher, place: str, check: Callable[[], None]) -> None:
    give_up_at = time.monotonic() + ONCE_WITHIN
    while watcher.since is None:
        check()
        problem = watcher.status().problem
        if problem or time.monotonic() > give_up_at:
            reason = problem or "no answer"
            raise StopProgram(f"cannot reach Firebase at {place}: {reason}{SEE_DOCTOR}")
        time.sleep(_PERIOD / 10)


def _print_once(
    watcher: Watcher, view: View, stale: float, as_json: bool, console: Console
) -> None:
    now = datetime.now(UTC)
    rows = select_rows(watcher.rows(), view.sort, view.pattern)
    if as_json:
        print_json([_as_json(row, now, stale) for row in rows])
        return
    if not console.is_terminal:
        console.width = _PIPE_WIDTH  # the reader's width is unknown, and nothing may be cut
    if rows:
        width = console.width
        console.print(render_table(rows, now, ("reported",), stale, width, watcher.decimals))
    else:
        print_lines("no ticker matches --filter" if view.pattern else "no ticker has figures yet")


def _print_changes(
    watcher: Watcher, view: View, stale: float, as_json: bool, check: Callable[[], None]
) -> None:
    printed: dict[str, Row] = {}
    was_live = True
    while True:
        check()
        status = watcher.status()
        if status.is_live != was_live and (status.is_live or status.problem):
            was_live = status.is_live
            print_error(
                "connected to Firebase again"
                if was_live
                else f"no connection to Firebase: {status.problem}"
            )
        rows = select_rows(watcher.rows(), view.sort, view.pattern)
        if as_json:
            for row in changed_rows(rows, printed):
                print_json_line(_as_json(row, datetime.now(UTC), stale))
        else:
            print_lines(*changed_lines(rows, printed, watcher.decimals))
        time.sleep(_PERIOD)


def _as_json(row: Row, now: datetime, stale: float) -> dict[str, Any]:
    age = row.age(now)
    return {
        "symbol": row.ticker,
        **{name: getattr(row, name) for name in FIELDS},
        "timestamp": row.reported_at and row.reported_at.isoformat(timespec="microseconds"),
        "age_seconds": None if age is None else round(age, 3),
        "stale": age is not None and age > stale,
        "lag_seconds": None if row.lag is None else round(row.lag, 3),
    }
