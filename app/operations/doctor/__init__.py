"""Looks at each part of a real deployment, and says what is wrong and how it is fixed.

A check is a function of a `Deployment` that returns a `Finding`; `checks.py` has them in order.
Looking changes nothing, but for one value in Firebase that is written, read and deleted.
"""

from app.operations.doctor.checks import checks_of
from app.operations.doctor.findings import (
    FAIL,
    OK,
    SKIPPED,
    WARN,
    Check,
    Deployment,
    Finding,
    examine,
)
from app.operations.doctor.redis_checks import clock
from app.operations.doctor.worker_checks import TASKS

__all__ = [
    "FAIL",
    "OK",
    "SKIPPED",
    "TASKS",
    "WARN",
    "Check",
    "Deployment",
    "Finding",
    "checks_of",
    "clock",
    "examine",
]
