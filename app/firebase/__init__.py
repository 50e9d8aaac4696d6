"""Firebase Realtime Database: client, paths, rate limit, event stream, reading without sign-in."""

from app.firebase.anonymous import anybody_may_read
from app.firebase.client import (
    CONNECTIONS,
    HEALTH_CHECK_PATH,
    FirebaseClient,
    credential_of,
    firebase_of_this_process,
)
from app.firebase.errors import DatabaseNotFound
from app.firebase.events import Event, apply_event, children, parse_events, split_path
from app.firebase.paths import escape_key, node_path, unescape_key
from app.firebase.rate_limit import BURST_SECONDS, LONGEST_WAIT, WriteRateLimiter
from app.firebase.storable import storable_slot, storable_update
from app.firebase.stream import Stream, StreamStatus

__all__ = [
    "BURST_SECONDS",
    "CONNECTIONS",
    "HEALTH_CHECK_PATH",
    "LONGEST_WAIT",
    "DatabaseNotFound",
    "Event",
    "FirebaseClient",
    "Stream",
    "StreamStatus",
    "WriteRateLimiter",
    "anybody_may_read",
    "apply_event",
    "children",
    "credential_of",
    "escape_key",
    "firebase_of_this_process",
    "node_path",
    "parse_events",
    "split_path",
    "storable_slot",
    "storable_update",
    "unescape_key",
]
