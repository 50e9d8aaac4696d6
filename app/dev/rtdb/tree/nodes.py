"""Nodes, their keys and paths, and how values from outside become nodes.

A node is a scalar or a non-empty dict of nodes: nulls and empty objects do not exist, and an array
is an object with integer keys.

The error texts in the constants below are Firebase's own. Where its text is not public (limits,
conflicting paths), ours says what is wrong; the status is the same.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TypeAlias, TypeGuard

Scalar: TypeAlias = bool | int | float | str
Node: TypeAlias = "Scalar | dict[str, Node]"
Json: TypeAlias = "Scalar | list[Json] | dict[str, Json] | None"
Path: TypeAlias = tuple[str, ...]

MAX_DEPTH = 32
MAX_KEY_BYTES = 768
MAX_STRING_BYTES = 10 * 1024 * 1024

INVALID_JSON = "Invalid data; couldn't parse JSON object, array, or value."
INVALID_OBJECT = (
    "Invalid data; couldn't parse JSON object. Are you sending a JSON object with valid key names?"
)
INVALID_KEY = (
    "Invalid data; couldn't parse key beginning at {position}. "
    "Key value can't be empty or contain $ # [ ] / or ."
)
INVALID_PATH = "Invalid path: Invalid token in path"
TOO_DEEP = f"The data is nested more than {MAX_DEPTH} levels deep."

_FORBIDDEN_IN_KEY = re.compile(r"[.$#\[\]/\x00-\x1f\x7f]")
_ARRAY_INDEX = re.compile(r"0|[1-9][0-9]*")
_INT64 = 2**63


class RtdbError(Exception):
    """A request that the database refuses.

    `status` is the HTTP status, `text` goes into the body as `{"error": text}`. `key` is the
    offending key of the data, if any: only the server knows its position in the body.
    """

    def __init__(self, status: int, text: str, key: str | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.key = key


def parse_path(text: str) -> Path:
    """Split `a/b` into keys; empty segments are ignored, and `/` is the root.

    Raises:
        RtdbError: 400, a key is not allowed, or there are more than 32.
    """
    path = tuple(segment for segment in text.split("/") if segment)
    if len(path) > MAX_DEPTH or not all(map(is_key, path)):
        raise RtdbError(400, INVALID_PATH)
    return path


def path_text(path: Path) -> str:
    """Return the path in RTDB's form: `/a/b`, and `/` for the root."""
    return "/" + "/".join(path)


def same(one: Node | None, other: Node | None) -> bool:
    """Return whether two nodes hold the same data; unlike with `==`, true is not 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return type(one) is type(other) and one == other


def find(node: Node | None, path: Path) -> Node | None:
    """Return the node at a path below `node`, or None."""
    for key in path:
        if not isinstance(node, dict):
            return None
        node = node.get(key)
    return node


def replaced(node: Node | None, path: Path, value: Node | None) -> Node | None:
    """Return a copy of `node` with `value` at a path below it; it shares what is unchanged."""
    if not path:
        return value
    if value is None and not isinstance(node, dict):
        return node
    children = dict(node) if isinstance(node, dict) else {}
    child = replaced(children.pop(path[0], None), path[1:], value)
    if child is not None:
        children[path[0]] = child
    return children or None


def export(node: Node | None) -> Json:
    """Return a copy in a client's form: objects with mostly integer keys become lists."""
    if not isinstance(node, dict):
        return node
    if all(map(_ARRAY_INDEX.fullmatch, node)):
        # Short keys only: no list has 10^9 elements, and int() of a long string is slow.
        size = 1 + max(int(key) if len(key) < 10 else _INT64 for key in node)
        if 2 * len(node) > size:
            return [export(node.get(str(index))) for index in range(size)]
    return {key: export(child) for key, child in node.items()}


def is_key(key: str) -> bool:
    """Return whether RTDB allows the key."""
    if not key or _FORBIDDEN_IN_KEY.search(key):
        return False
    try:
        return len(key if key.isascii() else key.encode()) <= MAX_KEY_BYTES
    except UnicodeEncodeError:
        return False


def build(value: Json, stored: Node | None, room: int, now_ms: int) -> Node | None:
    """Return the node for a value from outside.

    Args:
        value: The value.
        stored: The node that it replaces.
        room: Levels of nesting that are left.
        now_ms: The time for server timestamps.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, list):
        value = {str(index): item for index, item in enumerate(value)}
    if ".sv" in value:
        return _server_value(value, stored, now_ms)
    node = {}
    for key, item in value.items():
        if not is_key(key):
            raise RtdbError(400, INVALID_KEY, key)
        if room == 0:
            raise RtdbError(400, TOO_DEEP)
        child = build(item, find(stored, (key,)), room - 1, now_ms)
        if child is not None:
            node[key] = child
    return node or None


def _number(value: float) -> int | float:
    # 1.0 and 1 are the same number to RTDB, so they must compare and hash as equal here.
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise RtdbError(400, INVALID_JSON)
    if number.is_integer() and -_INT64 <= value < _INT64:
        return int(value)
    return number


def _string(value: str) -> str:
    try:
        size = len(value) if value.isascii() else len(value.encode())
    except UnicodeEncodeError:  # half of a surrogate pair: JSON can write it, UTF-8 cannot
        raise RtdbError(400, INVALID_JSON) from None
    if size > MAX_STRING_BYTES:
        raise RtdbError(400, f"A string is longer than {MAX_STRING_BYTES} bytes.")
    return value


def _server_value(value: Mapping[str, Json], stored: Node | None, now_ms: int) -> int | float:
    wanted = value[".sv"] if len(value) == 1 else None
    if wanted == "timestamp":
        return now_ms
    if isinstance(wanted, dict) and wanted.keys() == {"increment"}:
        step = wanted["increment"]
        if _is_number(step):
            return _number(stored + step if _is_number(stored) else step)
    raise RtdbError(400, INVALID_JSON)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
