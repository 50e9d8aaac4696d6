"""Redis: connections, the subscription, the journal."""

from app.messaging.bulk_connection import BulkConnection, pack
from app.messaging.client import (
    SOCKET_TIMEOUT,
    CircuitBreaker,
    bare_connection,
    connect,
    fix_for,
    is_refusal,
    reaching,
)
from app.messaging.journal import (
    NEWEST,
    START,
    Dropped,
    Journal,
    JournalEntry,
    Position,
    Reading,
    append,
    journal_name,
)
from app.messaging.presence import SAME_REPORTS, Presence, listening_bridges
from app.messaging.subscription import Received, Subscription

__all__ = [
    "NEWEST",
    "SAME_REPORTS",
    "SOCKET_TIMEOUT",
    "START",
    "BulkConnection",
    "CircuitBreaker",
    "Dropped",
    "Journal",
    "JournalEntry",
    "Position",
    "Presence",
    "Reading",
    "Received",
    "Subscription",
    "append",
    "bare_connection",
    "connect",
    "fix_for",
    "is_refusal",
    "journal_name",
    "listening_bridges",
    "pack",
    "reaching",
]
