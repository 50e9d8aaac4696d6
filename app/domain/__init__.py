"""Exact figures and messages. No I/O and no clock: the caller passes the time in."""

from app.domain.amounts import (
    ATOMS,
    LARGEST,
    PLACES,
    exact_number,
    exact_text,
    from_shown,
    to_atoms,
)
from app.domain.cache import Cache
from app.domain.decoding import (
    DEEPEST,
    LARGEST_MESSAGE,
    performance_value,
    read_performance,
    read_report,
    read_update,
)
from app.domain.model import (
    FIELDS,
    ORDERS,
    PERFORMANCE,
    ZERO,
    Figures,
    FiguresChange,
    ProfitReport,
    ReportKind,
    Update,
    add_up,
)
from app.domain.rendering import RenderedBatch, RenderedFigures
from app.domain.symbols import reported_symbol, stored_symbol
from app.domain.times import (
    AHEAD_LIMIT,
    BEHIND_LIMIT,
    DAY,
    EPOCH,
    date_of,
    day_of,
    time_in,
    to_microseconds,
    to_text,
)
from app.domain.totals import DayTotals, Totals

__all__ = [
    "AHEAD_LIMIT",
    "ATOMS",
    "BEHIND_LIMIT",
    "DAY",
    "DEEPEST",
    "EPOCH",
    "FIELDS",
    "LARGEST",
    "LARGEST_MESSAGE",
    "ORDERS",
    "PERFORMANCE",
    "PLACES",
    "ZERO",
    "Cache",
    "DayTotals",
    "Figures",
    "FiguresChange",
    "ProfitReport",
    "RenderedBatch",
    "RenderedFigures",
    "ReportKind",
    "Totals",
    "Update",
    "add_up",
    "date_of",
    "day_of",
    "exact_number",
    "exact_text",
    "from_shown",
    "performance_value",
    "read_performance",
    "read_report",
    "read_update",
    "reported_symbol",
    "stored_symbol",
    "time_in",
    "to_atoms",
    "to_microseconds",
    "to_text",
]
