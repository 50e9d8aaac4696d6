"""Hypothesis strategies made from this project's JSON Schemas, and ways to spoil an instance."""

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st
from jsonschema import Draft202012Validator

Schema = dict[str, Any]
Strategy = st.SearchStrategy[Any]

_PRINTED = st.characters(exclude_categories=("C", "Z"), include_characters=" ")

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(-1e300, 1e300) | st.text(max_size=8)
JSON: Strategy = st.recursive(
    LEAVES,
    lambda part: (
        st.lists(part, max_size=2) | st.dictionaries(st.text(max_size=4), part, max_size=2)
    ),
    max_leaves=4,
)

_NUMBERS = (0, -1, 1e9, 1e9 + 1, -(10**30), 1e300, 0.1 + 0.2, True, False)
_NUMERALS = ("", "NaN", "1_000", "1e9", " -1.5e-3 ", "1e300", "0x10", "\u0661")
_SYMBOLS = (
    *("SOFI", " sofi ", "AgGregate", "A B", "A  B", "X" * 64, "X" * 65, '"', "\\", "\U0001f680"),
    *("\u00df", "\u0131", "e\u0301", "A\u00a0B", "A\u200bB", "A\nB", "\ufeffA", "\u3000A"),
)
_TIMES = (
    *("2025-05-15", "2025-05-15T13:32", "2025-05-15 13:32:56,5+0000", "2025-W20-4T13:32:56"),
    *(
        "1747315976.582",
        "1747315976582434999",
        "1" * 21,
        "1.2.3",
        "+1747315976",
        1747315976582,
        1e20,
    ),
    *("2025-02-30T00:00:00Z", "2025-05-15T24:00:00Z", "2025-05-15T13:32:56.Z"),
    *("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"),
)
_OTHERS: tuple[Any, ...] = (None, [], {}, "price", "x" * 128, "x" * 129)
AWKWARD = [*_NUMBERS, *_NUMERALS, *_SYMBOLS, *_TIMES, *_OTHERS]


def instances(schema: Schema, root: Schema | None = None) -> Strategy:
    """Generate what a schema allows; objects may have a field that it does not name."""
    root = root or schema
    if "$ref" in schema:
        return instances(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "anyOf" in schema:
        return st.one_of([instances(choice, root) for choice in schema["anyOf"]])
    if "const" in schema or "enum" in schema:
        return st.sampled_from(schema.get("enum") or [schema["const"]])
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    found: Strategy = st.one_of([_of_type(each, schema, root) for each in types])
    return found.filter(Draft202012Validator(schema).is_valid) if "not" in schema else found


def _of_type(name: str, schema: Schema, root: Schema) -> Strategy:
    low, high = schema.get("minimum"), schema.get("maximum")
    match name:
        case "null":
            return st.none()
        case "integer":
            return st.integers(low, high)
        case "number":
            floats = st.floats(low, high, allow_nan=False, allow_infinity=False)
            return floats | st.integers(low, high)
        case "string" if "pattern" in schema:
            pattern = schema["pattern"][1:-1]
            return st.from_regex(pattern, fullmatch=True, alphabet=_PRINTED)
        case "string":
            return st.text(min_size=schema.get("minLength", 0), max_size=schema.get("maxLength"))
        case "object":
            return _objects(schema, root)
    raise NotImplementedError(name)


def _objects(schema: Schema, root: Schema) -> Strategy:
    fields = {name: instances(each, root) for name, each in schema.get("properties", {}).items()}
    needed = {name: fields.pop(name) for name in schema.get("required", ())}
    named = st.fixed_dictionaries(needed, optional=fields)
    if schema.get("additionalProperties") is False:
        return named
    return st.builds(lambda known, other: {**other, **known}, named, st.just({}) | _UNNAMED)


_UNNAMED = st.dictionaries(st.just("x-unnamed"), JSON, min_size=1)


@st.composite
def spoiled(draw: st.DrawFn, good: Strategy) -> Any:
    """Generate an instance with one field removed or replaced."""
    value = copy.deepcopy(draw(good))
    holder, key = draw(st.sampled_from(list(_places(value))))
    if draw(st.booleans()):
        holder[key] = draw(st.sampled_from(AWKWARD) | JSON)
    else:
        del holder[key]
    return value


def _places(value: Any) -> Iterator[tuple[dict[str, Any], str]]:
    for key, inner in value.items():
        yield value, key
        if isinstance(inner, dict):
            yield from _places(inner)


def as_bytes(value: Any) -> bytes:
    return json.dumps(value).encode()
