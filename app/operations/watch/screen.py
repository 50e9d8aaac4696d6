"""The live table on a whole screen, until somebody has seen enough."""

from datetime import UTC, datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from app.channels import AGGREGATE
from app.firebase import StreamUpdate
from app.operations.watch.keys import Keys
from app.operations.watch.table import FOR_WATCHING, drawn, duration
from app.operations.watch.tickers import Row, arranged
from app.operations.watch.view import HELP, View
from app.operations.watch.watcher import Watcher
from app.shutdown import ShutdownSignals

_REDRAW = 0.25
_AROUND = 10
"""Lines of the screen that are no ticker."""


def show(
    watcher: Watcher,
    view: View,
    stale: float,
    place: str,
    console: Console,
    signals: ShutdownSignals,
) -> None:
    """Show the tickers until `q` is pressed.

    Raises:
        ShutdownRequested: a signal came.
    """
    with Keys() as keys, Live(console=console, screen=True, auto_refresh=False) as live:
        while not view.is_over:
            signals.check()
            now = datetime.now(UTC)
            rows = watcher.rows()
            head = headline(watcher.news(), rows, now)
            body = _body(rows, view, stale, now, console)
            live.update(
                Group(head, Text(f"{place}\n", "dim"), *body, _foot(watcher, view)), refresh=True
            )
            for key in keys.pressed(_REDRAW):
                view = view.after(key)


def headline(news: StreamUpdate, rows: list[Row], now: datetime) -> Text:
    """Whether what is shown is what there is: the answer to "is this frozen?"."""
    clock = f"{now:%H:%M:%S} UTC"
    if news.silence is None and not news.problem:
        return Text("connecting to Firebase", "bold yellow")
    if not news.is_live:
        heard = "" if news.silence is None else f" for {duration(news.silence)}"
        reason = f": {news.problem}" if news.problem else ""
        text = Text(f"NO NEWS from Firebase{heard}{reason}", "bold red")
        return text.append(f"  trying again  {clock}", "not bold default")
    ages = [age for row in rows if (age := row.age(now)) is not None]
    last = f"last report {duration(min(ages))} ago" if ages else "no report yet"
    return Text("live", "bold green").append(f"  {clock}  {last}", "not bold default")


def _body(
    rows: list[Row], view: View, stale: float, now: datetime, console: Console
) -> list[RenderableType]:
    if view.shows_help:
        return [Text(HELP)]
    chosen = arranged(rows, view.sort, view.pattern, backwards=view.is_backwards)
    shown = chosen[: max(2, console.height - _AROUND)]
    left = len(chosen) - len(shown)
    table = drawn(shown, now, FOR_WATCHING, stale, console.width)
    if left:
        return [table, Text(f"and {left} more: make the window larger, or filter", "yellow")]
    tickers = [row for row in chosen if row.ticker != AGGREGATE]
    if not tickers:
        return [table, Text("no ticker is like that" if view.pattern else "no ticker yet")]
    return [table]


def _foot(watcher: Watcher, view: View) -> Text:
    since = f"   change since {watcher.since:%H:%M:%S} UTC" if watcher.since else ""
    return Text(f"\n{view.described}{since}   / filter  ? help  q quit", "dim")
