"""Firebase Realtime Database: client, paths, rate limit, event stream."""

from app.firebase.client import (
    CONNECTIONS,
    HEALTH_CHECK_PATH,
    FirebaseClient,
    credential_of,
    firebase_of_this_process,
)
from app.firebase.errors import FIREBASE_ERRORS, DatabaseNotFound
from app.firebase.events import Event, applied, children, events_of, keys_of
from app.firebase.paths import escape_key, node_path, unescape_key
from app.firebase.rate_limit import BURST_SECONDS, LONGEST_WAIT, WriteRateLimiter, rate_limiter_of
from app.firebase.stream import Stream, StreamUpdate

__all__ = [
    "BURST_SECONDS",
    "CONNECTIONS",
    "FIREBASE_ERRORS",
    "HEALTH_CHECK_PATH",
    "LONGEST_WAIT",
    "DatabaseNotFound",
    "Event",
    "FirebaseClient",
    "Stream",
    "StreamUpdate",
    "WriteRateLimiter",
    "applied",
    "children",
    "credential_of",
    "escape_key",
    "events_of",
    "firebase_of_this_process",
    "keys_of",
    "node_path",
    "rate_limiter_of",
    "unescape_key",
]
