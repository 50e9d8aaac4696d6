"""Accounting: every report on disk, once, and the daily files made from them."""

from app.accounting.bookkeeper import Batch, Bookkeeper, Counted
from app.accounting.daily_file import (
    DailyFiles,
    path_of,
    read_figures,
    set_aside,
    write_daily_file,
)
from app.accounting.day_figures import with_opening_balance
from app.accounting.ledger import Ledger, Outcome
from app.accounting.ledger_file import FILE_NAME, try_lock
from app.accounting.ledger_reader import Extent, LedgerReader
from app.accounting.rejected import (
    MISSING,
    Rejected,
    delete_rejected,
    missing_reports,
    read_rejected,
)
from app.accounting.repetitions import (
    Repetition,
    conflict_reason,
    read_repetitions,
    settle_repetition,
)
from app.accounting.schema import WrongVersion

__all__ = [
    "FILE_NAME",
    "MISSING",
    "Batch",
    "Bookkeeper",
    "Counted",
    "DailyFiles",
    "Extent",
    "Ledger",
    "LedgerReader",
    "Outcome",
    "Rejected",
    "Repetition",
    "WrongVersion",
    "conflict_reason",
    "delete_rejected",
    "missing_reports",
    "path_of",
    "read_figures",
    "read_rejected",
    "read_repetitions",
    "set_aside",
    "settle_repetition",
    "try_lock",
    "with_opening_balance",
    "write_daily_file",
]
