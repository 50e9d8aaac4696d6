"""The text of a message: JSON, from the types that bots calculate with."""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Mapping
from datetime import date, time
from decimal import Decimal
from typing import Any

_AMOUNTS = ("total", "unrealized", "realized", "converted")


def encoded(envelope: Mapping[str, Any]) -> bytes:
    """Return an envelope as JSON; a number that JSON does not have becomes null.

    Raises:
        ValueError: an amount is NaN or infinite, or the data contains itself.
        TypeError: a value has no form in JSON.
    """
    try:
        return _strict.encode(envelope).encode()
    except ValueError:
        text = _lenient.encode(envelope)
    data = json.loads(text)["data"]
    for name in _AMOUNTS:
        if isinstance(data.get(name), float) and not math.isfinite(data[name]):
            raise ValueError(f"{name} is {data[name]}: JSON has only finite numbers")
    return _strict.encode(json.loads(text, parse_constant=lambda name: None)).encode()


def _plain(value: Any) -> Any:
    """Return what JSON has for a value of another type.

    Types of numpy are recognized by what they can do, since a bot may not have it.
    """
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, (date, time)):
        return value.isoformat()
    if hasattr(value, "tolist"):
        plain = value.tolist()
        if type(plain) is not type(value):  # as it is for a longdouble
            return plain
    if hasattr(value, "__index__"):
        return operator.index(value)
    if hasattr(value, "__float__"):
        return float(value)
    raise TypeError(f"JSON has no form for {value!r:.80}: give text, a number, a list or a dict")


def _number(value: Decimal) -> float | str:
    """Return a float if it has all digits of the value, else text, which the bridge takes too."""
    number = float(value)
    is_exact = not value.is_finite() or Decimal(repr(number)) == value
    return number if is_exact else str(value)


_strict = json.JSONEncoder(allow_nan=False, default=_plain)
_lenient = json.JSONEncoder(default=_plain)
