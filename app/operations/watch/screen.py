"""The live table on the whole screen, and the keyboard, until the user quits."""

import os
import re
import select
import sys
import termios
import tty
from contextlib import suppress
from datetime import UTC, datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from app.channels import AGGREGATE
from app.firebase import StreamStatus
from app.operations.watch.rows import Row, select_rows
from app.operations.watch.table import WATCH_COLUMNS, format_duration, render_table
from app.operations.watch.view import HELP, View
from app.operations.watch.watcher import Watcher
from app.shutdown import ShutdownSignals

_REDRAW = 0.25
_OTHER_LINES = 10
"""Lines of the screen that show no ticker."""

_KEY = re.compile(r"\x1b[\[O][0-9;]*[A-Za-z~]|.", re.DOTALL)
"""An arrow or a function key is one key, not an Esc followed by letters."""

_DISABLED = b"\0"


def show_screen(
    watcher: Watcher,
    view: View,
    stale: float,
    location: str,
    console: Console,
    signals: ShutdownSignals,
) -> None:
    """Show the tickers until `q` is pressed.

    Raises:
        ShutdownRequested: A signal asked the program to stop.
    """
    with Keyboard() as keyboard, Live(console=console, screen=True, auto_refresh=False) as live:
        while not view.is_finished:
            signals.check()
            now = datetime.now(UTC)
            rows = watcher.rows()
            head = headline(watcher.status(), rows, now)
            body = _body(rows, view, stale, now, console, watcher.decimals)
            live.update(
                Group(head, Text(f"{location}\n", "dim"), *body, _foot(watcher, view)), refresh=True
            )
            for key in keyboard.read(_REDRAW):
                view = view.press(key)


def headline(status: StreamStatus, rows: list[Row], now: datetime) -> Text:
    """Return the top line: whether the table is live or frozen."""
    clock = f"{now:%H:%M:%S} UTC"
    if status.silence is None and not status.problem:
        return Text("connecting to Firebase", "bold yellow")
    if not status.is_live:
        silence = "" if status.silence is None else f" for {format_duration(status.silence)}"
        reason = f": {status.problem}" if status.problem else ""
        text = Text(f"NO NEWS from Firebase{silence}{reason}", "bold red")
        return text.append(f"  trying again  {clock}", "not bold default")
    ages = [age for row in rows if (age := row.age(now)) is not None]
    last = f"last report {format_duration(min(ages))} ago" if ages else "no report yet"
    return Text("live", "bold green").append(f"  {clock}  {last}", "not bold default")


def _body(
    rows: list[Row], view: View, stale: float, now: datetime, console: Console, decimals: int
) -> list[RenderableType]:
    if view.shows_help:
        return [Text(HELP)]
    selected = select_rows(rows, view.sort, view.pattern, reverse=view.is_reversed)
    visible = selected[: max(2, console.height - _OTHER_LINES)]
    hidden = len(selected) - len(visible)
    table = render_table(visible, now, WATCH_COLUMNS, stale, console.width, decimals)
    if hidden:
        return [table, Text(f"and {hidden} more: enlarge the window, or filter", "yellow")]
    tickers = [row for row in selected if row.ticker != AGGREGATE]
    if not tickers:
        return [table, Text("no ticker matches" if view.pattern else "no ticker yet")]
    return [table]


def _foot(watcher: Watcher, view: View) -> Text:
    since = f"   change since {watcher.since:%H:%M:%S} UTC" if watcher.since else ""
    return Text(f"\n{view.summary}{since}   / filter  ? help  q quit", "dim")


class Keyboard:
    """Single key presses from the terminal, whose settings are restored at the end.

    Without a terminal there are none. Ctrl-C remains a signal. Ctrl-Z is disabled: it would leave
    the terminal in this mode.
    """

    def __enter__(self) -> "Keyboard":
        self._fd = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else -1
        if self._fd >= 0:
            self._saved = termios.tcgetattr(self._fd)
            tty.setcbreak(self._fd, termios.TCSADRAIN)
            mode = termios.tcgetattr(self._fd)
            mode[6][termios.VSUSP] = _DISABLED
            termios.tcsetattr(self._fd, termios.TCSADRAIN, mode)
        return self

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._saved)

    def read(self, timeout: float) -> list[str]:
        """Return the keys pressed so far; wait up to `timeout` seconds for the first."""
        ready, _, _ = select.select([self._fd] if self._fd >= 0 else [], [], [], timeout)
        if not ready:
            return []
        typed = b""
        with suppress(OSError):
            typed = os.read(self._fd, 1024)
        if not typed:
            self._fd = -1  # the terminal is gone; a signal will end the program
        return _KEY.findall(typed.decode(errors="ignore"))
