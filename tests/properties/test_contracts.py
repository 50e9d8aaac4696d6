"""The published schemas allow what the decoder accepts: no more, and no less."""

import copy
import json
import re
import unicodedata
from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator

from app.domain import (
    performance_value,
    read_performance,
    read_report,
    read_update,
    stored_symbol,
    to_microseconds,
    to_text,
)
from app.domain.json_schemas import CONTRACTS, schema_of
from app.errors import RejectMessage
from tests.properties.instances import AWKWARD, as_bytes, instances, spoiled

SCHEMAS = {name: schema_of(name) for name in CONTRACTS}
VALID = {name: Draft202012Validator(schema).is_valid for name, schema in SCHEMAS.items()}


def is_beyond_schemas(reason: str, value: Any) -> bool:
    """Whether a message is refused for a reason that a schema can only describe in words."""
    data = value.get("data", value)
    if reason.startswith("timestamp is not ISO 8601"):
        return not is_in_the_calendar(data["timestamp"])
    if found := re.match(r"(\w+) is beyond 1,000,000,000|price is not a number", reason):
        return isinstance(data[found[1] or "price"], str | int)
    if reason.startswith("the id of the order"):  # 1.0: a whole number for a schema
        return isinstance(data["order_data"]["order"]["id"], float)
    if reason.startswith("symbol"):
        symbol = unicodedata.normalize("NFC", data["symbol"])
        return not symbol.isprintable() or len(symbol.upper()) > 64
    return reason.startswith("oversized")


def is_in_the_calendar(timestamp: str) -> bool:
    """Whether the day exists, and no offset leads out of the years 1 to 9999."""
    try:
        day = datetime.fromisoformat(timestamp[:10])
        return day.date() not in {date.min, date.max}
    except ValueError:
        return False


def read_as_report(message: bytes) -> None:
    """Read a report as of its own time: no schema limits its age."""
    try:
        now = to_microseconds(json.loads(message)["data"]["timestamp"])
    except (RejectMessage, KeyError, TypeError):
        now = 0
    read_report(message, now)


REPORT: dict[str, Any] = {
    "data": {
        "symbol": "SOFI", "total": 1, "unrealized": 1, "realized": 0, "converted": 0,
        "timestamp": "2025-05-15T13:32:56.582434+00:00",
    }
}  # fmt: skip

READERS = {
    "profit_report": read_as_report,
    "ticker_update": lambda message: read_update(message, "SOFI"),
    "ticker_performance": read_performance,
    "performance": lambda message: performance_value(json.loads(message)),
}


def refusal(name: str, value: Any) -> str | None:
    """Return why the decoder refuses a value, or None."""
    try:
        READERS[name](as_bytes(value))
    except RejectMessage as error:
        return str(error)
    return None


def strict(value: Any) -> Any:
    """Return an accepted message without what the decoder tolerates and nobody should rely on."""
    data = dict(value["data"])
    if "type" not in data:
        data["timestamp"] = to_text(to_microseconds(data["timestamp"]))  # any form of ISO 8601
    if isinstance(data.get("symbol"), str):
        data["symbol"] = stored_symbol(data["symbol"])
    not_read = {"timestamp", "sender"} if "type" in data else {"timestamp"}
    return {name: each for name, each in value.items() if name not in not_read} | {"data": data}


# Generating an instance is slow on a busy machine, which is no failure.
thoroughly = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("name", READERS)
def test_what_a_schema_allows_is_accepted(name: str) -> None:
    @thoroughly
    @given(instances(SCHEMAS[name]))
    def check(value: Any) -> None:
        assert VALID[name](value)
        reason = refusal(name, value)
        assert reason is None or is_beyond_schemas(reason, value), reason

    check()


@pytest.mark.parametrize("name", ["profit_report", "ticker_update"])
def test_what_a_schema_refuses_is_refused(name: str) -> None:
    @thoroughly
    @given(spoiled(instances(SCHEMAS[name])))
    def check(value: Any) -> None:
        agree(name, value)

    check()


@pytest.mark.parametrize(
    "field", ["symbol", "total", "converted", "timestamp", "sender", "journal"]
)
def test_schema_and_decoder_agree_on_every_awkward_value(field: str) -> None:
    for value in AWKWARD:
        report = copy.deepcopy(REPORT)
        (report if field in {"sender", "journal"} else report["data"])[field] = value
        agree("profit_report", report)


def agree(name: str, value: Any) -> None:
    """Assert that the schema refuses what the decoder refuses, and nothing else."""
    reason = refusal(name, value)
    if reason is None:
        assert VALID[name](strict(value)), value
    elif VALID[name](value):
        assert is_beyond_schemas(reason, value), (reason, value)
