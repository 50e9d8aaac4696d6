"""The live table: what Firebase shows of every ticker, and whether that still moves."""

import argparse
import time
from argparse import Namespace
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from app.cli.options import add_json, positive
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
"""Seconds that `--once` waits for Firebase."""

_LOOK = 0.1
_PIPE_WIDTH = 120

_EPILOG = """examples:
  python -m app watch                       live; ? tells the keys
  python -m app watch --sort total --filter BTC
  python -m app watch --once                the table once, also for a pipe or a mail
  python -m app watch --json                a line of JSON for each figure that changes

It listens to Firebase and to nothing else, as the front end does: it shows what people see. Into a
pipe, without --once, it prints a line for each figure that changes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take what is to be shown, and how."""
    parser.epilog = _EPILOG
    add_json(parser)
    parser.add_argument("--once", action="store_true", help="print the table once, and end")
    parser.add_argument("--sort", choices=SORTS, default="name", help="by what (%(default)s)")
    parser.add_argument(
        "--filter", default="", metavar="TEXT", help="only tickers with TEXT in their name"
    )
    parser.add_argument(
        "--stale",
        type=positive,
        default=STALE_SECONDS,
        metavar="SECONDS",
        help="call a ticker stale after so long without a report (%(default).0f)",
    )


def run(settings: Settings, arguments: Namespace) -> int:
    """Show the tickers, once or until somebody has seen enough.

    Raises:
        WrongSetting: no database is set, or no usable credentials.
        StopProgram: with `--once`, Firebase cannot be heard.
    """
    view = View(sort=arguments.sort, pattern=arguments.filter)
    place = f"{settings.database_url.partition('/?')[0].rstrip('/')}/{settings.firebase_root}"
    console = Console(highlight=False)
    watcher = Watcher(settings)
    try:
        with ShutdownSignals() as signals:
            if arguments.once:
                _wait_for_all(watcher, place, signals.check)
                _print_once(watcher, view, arguments, console)
            elif arguments.json or not console.is_terminal or console.is_dumb_terminal:
                _print_changes(watcher, view, arguments, signals.check)
            else:
                show_screen(watcher, view, arguments.stale, place, console, signals)
    except ShutdownRequested:
        pass
    finally:
        watcher.close()
    return 0


def _wait_for_all(watcher: Watcher, place: str, look: Callable[[], None]) -> None:
    give_up_at = time.monotonic() + ONCE_WITHIN
    while watcher.since is None:
        look()
        problem = watcher.status().problem
        if problem or time.monotonic() > give_up_at:
            said = problem or "no answer"
            raise StopProgram(f"cannot hear Firebase at {place}: {said}{SEE_DOCTOR}")
        time.sleep(_LOOK / 10)


def _print_once(watcher: Watcher, view: View, arguments: Namespace, console: Console) -> None:
    now = datetime.now(UTC)
    rows = select_rows(watcher.rows(), view.sort, view.pattern)
    if arguments.json:
        print_json([_as_json(row, now, arguments.stale) for row in rows])
        return
    if not console.is_terminal:
        console.width = _PIPE_WIDTH  # nobody knows how wide the reader is, and nothing may be cut
    if rows:
        console.print(render_table(rows, now, ("reported",), arguments.stale, console.width))
    else:
        print_lines("no ticker is like that" if view.pattern else "no ticker has figures yet")


def _print_changes(
    watcher: Watcher, view: View, arguments: Namespace, look: Callable[[], None]
) -> None:
    printed: dict[str, Row] = {}
    was_live = True
    while True:
        look()
        status = watcher.status()
        if status.is_live != was_live and (status.is_live or status.problem):
            was_live = status.is_live
            print_error(
                "connected to Firebase again"
                if was_live
                else f"no connection to Firebase: {status.problem}"
            )
        rows = select_rows(watcher.rows(), view.sort, view.pattern)
        if arguments.json:
            for row in changed_rows(rows, printed):
                print_json_line(_as_json(row, datetime.now(UTC), arguments.stale))
        else:
            print_lines(*changed_lines(rows, printed))
        time.sleep(_LOOK)


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
