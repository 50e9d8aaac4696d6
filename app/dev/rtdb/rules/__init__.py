"""Database rules, and the principals that they judge."""

from app.dev.rtdb.rules.expressions import RuleError
from app.dev.rtdb.rules.principals import (
    ADMIN,
    ANONYMOUS,
    Principal,
    principal_for_token,
    principal_of,
)
from app.dev.rtdb.rules.rules import Rules, load_rules, without_comments

__all__ = [
    "ADMIN",
    "ANONYMOUS",
    "Principal",
    "RuleError",
    "Rules",
    "load_rules",
    "principal_for_token",
    "principal_of",
    "without_comments",
]
