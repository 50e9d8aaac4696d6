"""The JSON Schemas of all messages: `python -m app.domain.json_schemas FOLDER`.

They are generated from the types that decoders and encoders use. What a schema cannot express is
in its description, from the same constants.
"""

import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from app.domain import schemas
from app.domain.amounts import LARGEST
from app.domain.decoding import LARGEST_MESSAGE
from app.domain.times import AHEAD_LIMIT, BEHIND_LIMIT

_SIZE = f"Refused if the message is longer than {LARGEST_MESSAGE:,} bytes. "
_OPEN = "Unknown fields are ignored. "
_LENIENT = (
    "Spaces around a symbol and other forms of ISO 8601 are accepted too, but do not rely on that."
)


class Contract(NamedTuple):
    """A type that other programs rely on, and what its schema cannot express."""

    type: Any
    limits: str = ""


def _minutes(limit: timedelta) -> str:
    return f"{limit // timedelta(minutes=1):,} minutes"


CONTRACTS = {
    "profit_report": Contract(
        schemas.ReportMessage,
        _SIZE + f"Refused if its timestamp is more than {_minutes(AHEAD_LIMIT)} ahead, more than "
        f"{BEHIND_LIMIT.days} days old, or outside the calendar; if a numeric string is "
        f"beyond {LARGEST:,}; if a report with the same identity (see id) was "
        "counted with other amounts. " + _OPEN + _LENIENT,
    ),
    "ticker_performance": Contract(schemas.PerformanceMessage),
    "ticker_update": Contract(
        schemas.UpdateMessage,
        _SIZE + f"Refused if its timestamp is outside the calendar, or a numeric string is "
        f"beyond {LARGEST:,}. " + _OPEN + _LENIENT,
    ),
    "performance": Contract(schemas.Performance),
    "firebase": Contract(
        schemas.Tree,
        "Firebase may return nodes with small whole numbers as keys as a list (symbols, orders).",
    ),
    "daily_file": Contract(schemas.DailyFile),
}
"""By file name."""


def schema_of(name: str) -> dict[str, Any]:
    """Return the JSON Schema of one contract, complete in itself."""
    contract = CONTRACTS[name]
    schema = msgspec.json.schema(contract.type)
    parts = schema.pop("$defs")
    if "$ref" in schema:
        schema |= parts.pop(schema.pop("$ref").rpartition("/")[2])
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": name,
        "description": f"{schema['description']} {contract.limits}".strip(),
    }
    body: dict[str, Any] = _plain(schema | ({"$defs": parts} if parts else {}))
    return head | body | head


def _plain(schema: Any) -> Any:
    """Remove what only OpenAPI knows, and write a choice of types as `type: [...]`."""
    if isinstance(schema, list):
        return [_plain(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: _plain(inner) for key, inner in schema.items() if key != "discriminator"}
    choice = plain.get("anyOf", [])
    if choice and all(inner.keys() == {"type"} for inner in choice):
        types = [inner["type"] for inner in plain.pop("anyOf")]
        plain["type"] = [each for each in types if each != "integer" or "number" not in types]
    return plain


def text_of(name: str) -> str:
    """Return the content of one schema's file."""
    return json.dumps(schema_of(name), indent=2) + "\n"


def main(folder: Path) -> None:
    """Write every schema into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in CONTRACTS:
        (folder / f"{name}.json").write_text(text_of(name))


if __name__ == "__main__":
    main(Path(sys.argv[1] if sys.argv[1:] else "docs/schemas"))
