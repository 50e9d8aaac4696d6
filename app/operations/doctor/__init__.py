"""The doctor: checks each part of a deployment, and says what is wrong and how to fix it.

A check is a function of a `Deployment` that returns a `Finding`; `checks.py` lists them in order.
Checks change nothing, except for one value in Firebase that is written, read and deleted.
"""

from app.operations.doctor.checks import checks_of
from app.operations.doctor.delivery_checks import TASKS
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
