"""Firebase Realtime Database: client, paths, rate limit, event stream, reading without sign-in."""

from app.firebase.anonymous import anybody_may_read
from app.firebase.client import (
    HEALTH_CHECK_PATH,
    FirebaseClient,
    firebase_of_this_process,
)
from app.firebase.errors import DatabaseNotFound, NotADatabase
from app.firebase.events import Event, apply_event, children, parse_events, split_path
from app.firebase.paths import escape_key, node_path, unescape_key
from app.firebase.rate_limit import BURST_SECONDS, LONGEST_WAIT, WriteRateLimiter
from app.firebase.sign_in import share_sign_in, sign_in_of
from app.firebase.storable import storable_slot, storable_update
from app.firebase.stream import Stream, StreamStatus
from app.firebase.transport import CONNECTIONS

__all__ = [
    "BURST_SECONDS",
    "CONNECTIONS",
    "HEALTH_CHECK_PATH",
    "LONGEST_WAIT",
    "DatabaseNotFound",
    "Event",
    "FirebaseClient",
    "NotADatabase",
    "Stream",
    "StreamStatus",
    "WriteRateLimiter",
    "anybody_may_read",
    "apply_event",
    "children",
    "escape_key",
    "firebase_of_this_process",
    "node_path",
    "parse_events",
    "share_sign_in",
    "sign_in_of",
    "split_path",
    "storable_slot",
    "storable_update",
    "unescape_key",
]
