"""The audit: a day recomputed from the ledger's reports, and compared with what others show."""

from app.operations.audit.auditor import Auditor, Findings
from app.operations.audit.breakdown import Breakdown, Shares, Step, same_amounts
from app.operations.audit.comparison import (
    FILE,
    FIREBASE,
    LEDGER,
    Difference,
    compare,
    contradictions,
    differences,
    shortened,
)
from app.operations.audit.daily_file_check import check_daily_file
from app.operations.audit.ledger_day import LedgerDay

__all__ = [
    "FILE",
    "FIREBASE",
    "LEDGER",
    "Auditor",
    "Breakdown",
    "Difference",
    "Findings",
    "LedgerDay",
    "Shares",
    "Step",
    "check_daily_file",
    "compare",
    "contradictions",
    "differences",
    "same_amounts",
    "shortened",
]
