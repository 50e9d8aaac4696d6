"""Why a message is refused, in the words of its author: the field, what came, and the fix."""

import json
import math
import re
from typing import Any

import msgspec

from app.domain.model import FIELDS
from app.errors import RejectCode, RejectMessage

_LONGEST_SHOWN = 40

_EXPECTED = {
    "float": "a number",
    "int": "a whole number",
    "str": "text",
    "object": "an object",
    "array": "a list",
}
_CODES: dict[str, RejectCode] = {
    "symbol": "symbol",
    "sender": "sender",
    "timestamp": "timestamp",
    **dict.fromkeys((*FIELDS, "price"), "amount"),
}
_AT = " - at `$"
"""What stands between the problem and its place, in msgspec's words."""


def wrong_form(error: msgspec.ValidationError, came: Any) -> RejectMessage:
    """Return the rejection of a message, or of a value, whose fields msgspec cannot convert."""
    try:
        value = json.loads(came.decode(errors="replace")) if isinstance(came, bytes) else came
    except (ValueError, RecursionError) as broken:
        # msgspec reads no further than the first wrong type.
        return not_json(broken, came)
    what, at, place = str(error).rpartition(_AT)
    if not at:
        what, place = place, ""
    place = place.strip(".`")
    for key in place.split(".") if place else ():
        value = value.get(key) if isinstance(value, dict) else None
    field = place or "the message"
    name = field.rpartition(".")[2]
    quoted = re.findall("`(.*?)`", what)
    if isinstance(value, float) and not math.isfinite(value):
        problem = f"{field} is not finite: {as_json(value)}; send a number"
    elif what.startswith("Expected"):
        kinds = quoted[0].split(" | ")
        if "float" in kinds:
            kinds = [kind for kind in kinds if kind != "int"]
        expected = [text for kind, text in _EXPECTED.items() if kind in kinds]
        problem = f"{field} must be {' or '.join(expected)}, not {as_json(value)}"
    elif what.startswith("Object missing"):
        name = quoted[0]
        problem = f"{name} is missing{f' in {place}' if place else ''}: add it"
    elif name == "type":
        problem = f"{field} must be price or order, not {as_json(value)}"
    else:
        problem = f"{field} is {as_json(value)}: {what}"
    return RejectMessage(_CODES.get(name, "wrong_form"), f"wrong form: {problem}")


def as_json(value: Any) -> str:
    """Return the beginning of a value as it may have been in its message."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = repr(value)
    # Half of a surrogate pair could not be written anywhere.
    text = text.encode(errors="backslashreplace").decode()
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def not_json(error: Exception, message: bytes) -> RejectMessage:
    """Return the rejection of a message that cannot be parsed."""
    start = message[:_LONGEST_SHOWN].decode(errors="backslashreplace")
    return RejectMessage("not_json", f"not JSON: {error}: {start!r}")
