"""The schemas of what other programs send: `python -m app.domain.json_schemas FOLDER`.

They are made of the types that the decoder and the encoder use. What a schema cannot say is in the
description of each form, from the same constants.
"""

import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from app.domain import schemas as forms
from app.domain.amounts import LARGEST
from app.domain.decoding import LARGEST_MESSAGE
from app.domain.times import AHEAD_LIMIT, BEHIND_LIMIT

_SIZE = f"Refused if the message is longer than {LARGEST_MESSAGE:,} bytes. "
_OPEN = "Fields that are not named here are ignored. "
_LENIENT = (
    "Blanks around a symbol and other forms of ISO 8601 are taken too, but nothing should rely on "
    "that."
)


class Contract(NamedTuple):
    """A form that other programs rely on: its type, and what a schema cannot say of it."""

    form: Any
    unsaid: str = ""


def _minutes(limit: timedelta) -> str:
    return f"{limit // timedelta(minutes=1):,} minutes"


CONTRACTS = {
    "profit_report": Contract(
        forms.ReportMessage,
        _SIZE + f"Refused if its timestamp is more than {_minutes(AHEAD_LIMIT)} ahead, more than "
        f"{BEHIND_LIMIT.days} days old, or no day of the calendar; if an amount that is text is "
        f"beyond {LARGEST:,}; if a report with the same sender, symbol and timestamp was "
        "counted with other amounts. " + _OPEN + _LENIENT,
    ),
    "ticker_performance": Contract(forms.PerformanceMessage),
    "ticker_update": Contract(
        forms.UpdateMessage,
        _SIZE + f"Refused if its timestamp is no day of the calendar, or a price that is text is "
        f"beyond {LARGEST:,}. " + _OPEN + _LENIENT,
    ),
    "performance": Contract(forms.Performance),
    "firebase": Contract(
        forms.Tree,
        "Firebase may give nodes whose keys are small whole numbers as a list (symbols, orders).",
    ),
    "daily_file": Contract(forms.DailyFile),
}
"""By the name of the file."""


def schema_of(name: str) -> dict[str, Any]:
    """The JSON Schema of one form, whole in itself."""
    form, unsaid = CONTRACTS[name]
    schema = msgspec.json.schema(form)
    parts = schema.pop("$defs")
    if "$ref" in schema:
        schema |= parts.pop(schema.pop("$ref").rpartition("/")[2])
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": name,
        "description": f"{schema['description']} {unsaid}".strip(),
    }
    body: dict[str, Any] = _plain(schema | ({"$defs": parts} if parts else {}))
    return head | body | head


def _plain(schema: Any) -> Any:
    """Without what only OpenAPI knows, and a choice of types as people write it."""
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
    """The content of the file of one schema."""
    return json.dumps(schema_of(name), indent=2) + "\n"


def main(folder: Path) -> None:
    """Write every schema into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in CONTRACTS:
        (folder / f"{name}.json").write_text(text_of(name))


if __name__ == "__main__":
    main(Path(sys.argv[1] if sys.argv[1:] else "docs/schemas"))
