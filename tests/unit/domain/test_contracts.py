"""What is written down for other programs is what the code does."""

import inspect
import json
import re
from typing import Any

import msgspec
import pytest
from jsonschema import Draft7Validator, Draft202012Validator

import tasks
from app.channels import (
    AGGREGATE,
    PROFIT_REPORT,
    TICKER_PERFORMANCE,
    TICKER_UPDATES,
    RedisNames,
)
from app.domain import LARGEST, read_performance, read_report, read_update, to_microseconds
from app.domain.json_schemas import CONTRACTS, schema_of, text_of
from tests.examples import Example, examples
from tests.node import node_for
from tests.system import ROOT

DOCS = ROOT / "docs"
ASYNCAPI: dict[str, Any] = msgspec.yaml.decode((DOCS / "asyncapi.yaml").read_bytes())
OFFICIAL = "@asyncapi/specs/schemas/3.0.0-without-$id.json"
EXAMPLES = list(examples())


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_schema_file_is_what_the_code_says(name: str) -> None:
    file = DOCS / "schemas" / f"{name}.json"
    assert file.read_text() == text_of(name), "make contracts"
    Draft202012Validator.check_schema(schema_of(name))


def test_there_is_no_schema_of_nothing() -> None:
    assert {file.stem for file in (DOCS / "schemas").iterdir()} == set(CONTRACTS)


def test_the_limits_are_said() -> None:
    description = schema_of("profit_report")["description"]
    for limit in ("65,536 bytes", "5 minutes ahead", "7 days old", f"{LARGEST:,}"):
        assert limit in description


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.place)
def test_an_example_of_the_documentation_is_good(example: Example) -> None:
    Draft202012Validator(schema_of(example.contract)).validate(example.value)
    message = json.dumps(example.value).encode()
    match example.contract:
        case "profit_report":
            read_report(message, to_microseconds(example.value["data"]["timestamp"]))
        case "ticker_performance":
            read_performance(message)
        case "ticker_update":
            read_update(message)


def test_every_message_has_an_example() -> None:
    shown = {example.contract for example in EXAMPLES}
    assert shown >= {"profit_report", "ticker_performance", "ticker_update", "daily_file"}
    types = {example.value.get("data", {}).get("type") for example in EXAMPLES}
    assert types >= {"price", "order"}
    assert any(example.value.get("data", {}).get("symbol") == AGGREGATE for example in EXAMPLES)


def test_the_channels_are_those_of_the_code() -> None:
    names = RedisNames("")
    addresses = {name: channel["address"] for name, channel in ASYNCAPI["channels"].items()}
    assert addresses == {
        "profitReport": PROFIT_REPORT,
        "journal": names.journal,
        "tickerPerformance": TICKER_PERFORMANCE + "{ticker}",
        "tickerUpdates": TICKER_UPDATES + "{ticker}",
    }
    account = ASYNCAPI["channels"]["tickerPerformance"]["parameters"]["ticker"]["description"]
    assert names.performance_channel(AGGREGATE).removeprefix(TICKER_PERFORMANCE) in account


def test_the_tasks_are_those_of_the_code() -> None:
    described = ASYNCAPI["x-celery-tasks"]
    assert set(described) == {name for name in tasks.app.tasks if name.startswith("tasks.")}
    for name, task in described.items():
        parameters = inspect.signature(tasks.app.tasks[name].run).parameters.values()
        positional = [each.name for each in parameters if each.kind is not each.KEYWORD_ONLY]
        keywords = [each.name for each in parameters if each.kind is each.KEYWORD_ONLY]
        assert (list(task["arguments"]), list(task.get("options", {}))) == (positional, keywords)


def test_every_reference_leads_somewhere() -> None:
    references = re.findall(r"\$ref: \"?([^\"}\s]+)", (DOCS / "asyncapi.yaml").read_text())
    assert len(references) > len(CONTRACTS)
    for reference in references:
        if reference.startswith("#"):
            found: Any = ASYNCAPI
            for part in reference.removeprefix("#/").split("/"):
                found = found[part]
        else:
            assert (DOCS / reference).is_file(), reference
    assert {ref for ref in references if not ref.startswith("#")} == {
        f"schemas/{name}.json" for name in CONTRACTS
    }


def test_the_document_is_asyncapi() -> None:
    folder = ROOT / "tests" / "asyncapi"
    node_for(folder)
    official = json.loads((folder / "node_modules" / OFFICIAL).read_text())
    Draft7Validator(official).validate(_with_schemas(ASYNCAPI))


def _with_schemas(part: Any) -> Any:
    """The document with the schemas in the place of what refers to them."""
    if isinstance(part, list):
        return [_with_schemas(inner) for inner in part]
    if not isinstance(part, dict):
        return part
    if str(part.get("$ref", "")).startswith("schemas/"):
        return json.loads((DOCS / part["$ref"]).read_text())
    return {key: _with_schemas(inner) for key, inner in part.items()}
