"""A day added up anew from the ledger's rows, and held against what others show."""

from app.operations.audit.auditor import Auditor, Findings
from app.operations.audit.breakdown import Step, account, steps
from app.operations.audit.comparison import (
    FILE,
    FIREBASE,
    LEDGER,
    Difference,
    compare,
    contradictions,
    differences,
)
from app.operations.audit.daily_file_check import verdict
from app.operations.audit.rebuilt_day import LedgerDay
from app.operations.audit.tally import Sums, Tally, same_amounts

__all__ = [
    "FILE",
    "FIREBASE",
    "LEDGER",
    "Auditor",
    "Difference",
    "Findings",
    "LedgerDay",
    "Step",
    "Sums",
    "Tally",
    "account",
    "compare",
    "contradictions",
    "differences",
    "same_amounts",
    "steps",
    "verdict",
]
