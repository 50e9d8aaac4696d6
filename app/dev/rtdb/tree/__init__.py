"""What the database stores: the tree, its values and paths, their order, and queries."""

from app.dev.rtdb.tree.nodes import (
    INVALID_JSON,
    INVALID_KEY,
    INVALID_OBJECT,
    INVALID_PATH,
    MAX_STRING_BYTES,
    Json,
    Node,
    Path,
    RtdbError,
    Scalar,
    export,
    find,
    is_key,
    parse_path,
    path_text,
    same,
)
from app.dev.rtdb.tree.order import hash_of
from app.dev.rtdb.tree.queries import Query
from app.dev.rtdb.tree.tree import (
    NULL_ETAG,
    Change,
    RtdbTree,
    StreamEvent,
    WriteCheck,
    event_for,
    leaf_writes,
)

__all__ = [
    "INVALID_JSON",
    "INVALID_KEY",
    "INVALID_OBJECT",
    "INVALID_PATH",
    "MAX_STRING_BYTES",
    "NULL_ETAG",
    "Change",
    "Json",
    "Node",
    "Path",
    "Query",
    "RtdbError",
    "RtdbTree",
    "Scalar",
    "StreamEvent",
    "WriteCheck",
    "event_for",
    "export",
    "find",
    "hash_of",
    "is_key",
    "leaf_writes",
    "parse_path",
    "path_text",
    "same",
]
