"""The layout of the tree below FIREBASE_ROOT, and the escaping of its keys."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from app.domain import Update
from app.errors import GiveUp

# RTDB forbids . $ # [ ] / and controls in keys; ? % + do not survive the path of a URL, where RTDB
# reads a plus as a blank.
_FORBIDDEN = re.compile(r"[!.$#\[\]/?%+\x00-\x1f\x7f]")
_ESCAPE = re.compile(r"!([0-9A-F]{2})")


@lru_cache(maxsize=65_536)
def escape_key(text: str) -> str:
    """Return `text` as a key that RTDB allows."""
    return _FORBIDDEN.sub(lambda found: f"!{ord(found.group()):02X}", text)


def unescape_key(key: str) -> str:
    """Reverse `escape_key`."""
    return _ESCAPE.sub(lambda found: chr(int(found.group(1), 16)), key)


def node_path(symbol: str, key: str) -> str:
    """Return the path of a value, relative to the root; `key` is `name` or `name/id`."""
    name, slash, identity = key.partition("/")
    path = f"{escape_key(symbol)}/{escape_key(name)}"
    return f"{path}/{escape_key(identity)}" if slash else path


def nodes_of(update: Update) -> dict[str, Any]:
    """Return the nodes that an update sets, by path; None removes a node, and so does `{}`.

    A price has no node of its own: its fields go beside the symbol's other children.

    Raises:
        GiveUp: No JSON can be made of the value. Nothing is sent then, so a failure of the network
            is never blamed on a value.
    """
    if update.value is None:
        raise GiveUp("Firebase cannot store this value: it is null")
    if update.key != "price" or not isinstance(update.value, Mapping):
        value = None if update.value == {} else _escape_keys_in(update.value)
        return {node_path(update.symbol, update.key): value}
    fields = {**update.value, "last_updated": datetime.now(UTC).isoformat(timespec="microseconds")}
    return {
        node_path(update.symbol, name): _escape_keys_in(value) for name, value in fields.items()
    }


def _escape_keys_in(value: Any) -> Any:
    if isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, Mapping):
        return {escape_key(str(name)): _escape_keys_in(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_escape_keys_in(inner) for inner in value]
    if value is None:
        return None
    raise GiveUp(f"Firebase cannot store this value: {value!r:.40} is no JSON")
