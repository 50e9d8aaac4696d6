"""What may be stored, and under which key: checked before Redis or Firebase hear of it.

A wrong key would do more than fail: an empty one, or `orders/`, would replace a whole ticker, and
`performance/total` would be a second slot of a node that has one already.
"""

import math
import reprlib
from collections.abc import Iterable
from typing import Any

from app.domain import DEEPEST, PERFORMANCE, Update, performance_value, stored_symbol
from app.errors import RejectMessage
from app.firebase.paths import node_path

LONGEST_KEY = 768
"""Bytes of a key in Firebase, escaped."""

_PRICE_NODES = ("price", "volume", "timestamp", "last_updated")
"""What a price sets beside a symbol's other nodes."""

_ORDERS = "orders"
_FORM = "a key is a name, or a name and an id such as orders/4711"


def storable_update(symbol: Any, key: Any, value: Any, root: str) -> Update:
    """Return what to store for a symbol.

    Args:
        symbol: A symbol, or `aggregate`.
        key: A name, or a name and an id (`orders/<id>`). The id may hold any characters.
        value: Any JSON value but null; a performance is reduced to its five fields.
        root: The node that holds the symbols.

    Raises:
        RejectMessage: It cannot be stored; the text says what is wrong, and how to fix it.
    """
    symbol, key = storable_slot(symbol, key)
    if key == PERFORMANCE:
        return Update(symbol, key, performance_value(value))
    if value is None:
        raise _reject("the value is null: there is nothing to store")
    if key == "price" and isinstance(value, dict):
        _check_price_fields(value)
    levels = DEEPEST - len(f"{root}/{node_path(symbol, key)}".split("/"))
    if problem := _problem(value, levels):
        raise _reject(f"the value of {key} cannot be stored: {problem}")
    return Update(symbol, key, value)


def storable_slot(symbol: Any, key: Any) -> tuple[str, str]:
    """Return the symbol in its one spelling, and the key.

    Raises:
        RejectMessage: One of them cannot be used.
    """
    for name, text in (("symbol", symbol), ("key", key)):
        if not isinstance(text, str) or not _is_unicode(text):
            raise _reject(f"the {name} must be text: {reprlib.repr(text)}")
    name, slash, identity = key.partition("/")
    if not name.strip() or (slash and not identity):
        raise _reject(f"{key!r:.60} is no key: {_FORM}")
    if key == _ORDERS:
        raise _reject("orders are stored one by one: add the order's id to the key (orders/4711)")
    if slash and name == PERFORMANCE:
        raise _reject(f"{key!r:.60} is no key: a performance is stored whole, as {PERFORMANCE!r}")
    if slash and name in _PRICE_NODES:
        raise _reject(f"{key!r:.60} is no key: a price is stored whole, as 'price'")
    symbol = stored_symbol(symbol)
    if any(len(part.encode()) > LONGEST_KEY for part in node_path(symbol, key).split("/")):
        raise _reject(f"{key!r:.60} is longer than the {LONGEST_KEY} bytes that Firebase takes")
    return symbol, key


def _check_price_fields(fields: dict[Any, Any]) -> None:
    """Keep a price from setting what other slots store."""
    for name in fields:
        if not isinstance(name, str) or not name or "/" in name or name in {PERFORMANCE, _ORDERS}:
            raise _reject(f"{name!r:.60} is no field of a price, such as {', '.join(_PRICE_NODES)}")


def _problem(value: Any, levels: int) -> str:
    """Return why a value, nested up to `levels` deep, cannot be stored; empty if it can."""
    if value is None or isinstance(value, str | int):
        return ""
    if isinstance(value, float):
        return "" if math.isfinite(value) else f"{value} is not a finite number"
    if not isinstance(value, dict | list | tuple):
        return f"a {type(value).__name__} is no JSON: send a number or text"
    if levels <= 0:
        return f"with its path it is nested more than {DEEPEST} levels deep"
    inner: Iterable[Any] = value
    if isinstance(value, dict):
        if wrong := [name for name in value if not isinstance(name, str) or not name]:
            return f"{wrong[0]!r:.40} is no name of a field: names are text, and not empty"
        inner = value.values()
    return next(filter(None, (_problem(one, levels - 1) for one in inner)), "")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half a character
        return False
    return True


def _reject(text: str) -> RejectMessage:
    return RejectMessage("wrong_form", text)
