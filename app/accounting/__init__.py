"""Every report once, on disk; and what is projected from it, the daily file."""

from app.accounting.bookkeeper import Batch, Bookkeeper
from app.accounting.daily_file import DailyFiles, path_of, read_figures, set_aside
from app.accounting.ledger import Ledger, Outcome
from app.accounting.ledger_reader import (
    Extent,
    LedgerReader,
    delete_rejected,
    held_if_free,
    read_rejected,
)
from app.accounting.schema import FILE_NAME, Rejected

__all__ = [
    "FILE_NAME",
    "Batch",
    "Bookkeeper",
    "DailyFiles",
    "Extent",
    "Ledger",
    "LedgerReader",
    "Outcome",
    "Rejected",
    "delete_rejected",
    "held_if_free",
    "path_of",
    "read_figures",
    "read_rejected",
    "set_aside",
]
