"""The order of keys and values, and the hash by which a client tells which value it has. Pure.

All of this follows the JavaScript SDK, because both sides must get the same result.
"""

from __future__ import annotations

import base64
import hashlib
import re
import struct
from typing import TypeAlias

from app.dev.rtdb.tree.nodes import Node

Rank: TypeAlias = tuple[int, float, bytes, int]
"""Sort key; ranks of keys are comparable with each other, and so are ranks of values."""

MIN_NAME = "[MIN_NAME]"
MAX_NAME = "[MAX_NAME]"

_INTEGER = re.compile(r"-?0*[0-9]{1,10}", re.ASCII)


def key_rank(key: str) -> Rank:
    """Return the rank of a key: 32-bit integers by value, then all others as text.

    MIN_NAME is before every key, and MAX_NAME after.
    """
    if key in (MIN_NAME, MAX_NAME):
        return (-1 if key == MIN_NAME else 2, 0, b"", 0)
    if _INTEGER.fullmatch(key) and -(2**31) <= int(key) < 2**31:
        return (0, int(key), b"", len(key))
    return (1, 0, _units(key), 0)


def value_rank(node: Node | None) -> Rank:
    """Return the rank of a value: None, false, true, numbers, strings, nodes with children."""
    match node:
        case None:
            return (0, 0, b"", 0)
        case bool():
            return (1, node, b"", 0)
        case int() | float():
            return (2, node, b"", 0)
        case str():
            return (3, 0, _units(node), 0)
        case _:
            return (4, 0, b"", 0)


def hash_of(node: Node | None) -> str:
    """Return the hash of a node, and "" for None."""
    match node:
        case None:
            return ""
        case bool():
            text = f"boolean:{str(node).lower()}"
        case int() | float():
            text = f"number:{struct.pack('>d', node).hex()}"
        case str():
            text = f"string:{node}"
        case _:
            keys = sorted(node, key=key_rank)
            text = "".join(f":{key}:{hash_of(node[key])}" for key in keys)
    return base64.b64encode(hashlib.sha1(text.encode(), usedforsecurity=False).digest()).decode()


def _units(text: str) -> bytes:
    # JavaScript compares UTF-16 units, not characters.
    return text.encode("utf-16-be", "surrogatepass")
