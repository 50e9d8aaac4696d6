"""Following what Firebase shows of the tickers, as the front end does."""

from app.operations.watch.screen import headline, show
from app.operations.watch.table import FOR_TRYING, FOR_WATCHING, changed, changed_lines, drawn
from app.operations.watch.tickers import SORTS, Row, Watched, arranged, rows_of
from app.operations.watch.view import View
from app.operations.watch.watcher import Watcher

__all__ = [
    "FOR_TRYING",
    "FOR_WATCHING",
    "SORTS",
    "Row",
    "View",
    "Watched",
    "Watcher",
    "arranged",
    "changed",
    "changed_lines",
    "drawn",
    "headline",
    "rows_of",
    "show",
]
