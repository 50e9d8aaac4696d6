"""The live table of what Firebase shows of the tickers."""

from app.operations.watch.rows import SORTS, Row, rows_of, select_rows
from app.operations.watch.screen import headline, show_screen
from app.operations.watch.table import (
    DEV_COLUMNS,
    WATCH_COLUMNS,
    changed_lines,
    changed_rows,
    render_table,
)
from app.operations.watch.view import View
from app.operations.watch.watcher import WatchedTickers, Watcher

__all__ = [
    "DEV_COLUMNS",
    "SORTS",
    "WATCH_COLUMNS",
    "Row",
    "View",
    "WatchedTickers",
    "Watcher",
    "changed_lines",
    "changed_rows",
    "headline",
    "render_table",
    "rows_of",
    "select_rows",
    "show_screen",
]
