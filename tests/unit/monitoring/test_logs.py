"""A log line is `event key=value`, and whatever the values are, one line."""

import ast
import json
import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.monitoring import JsonFormatter, formatter
from app.settings import Settings
from tests.system import ROOT

FORM = re.compile(r"[a-z][a-z0-9_]*( [a-z_]+=%[sdr])*(: [^%=]+)?")
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}


def log_calls(path: Path) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(path.read_text())):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id in {"log", "logger", "logging"}
            and node.func.attr in LEVELS
        ):
            yield node


def test_every_log_call_names_its_event_and_its_fields() -> None:
    found = 0
    for path in [*(ROOT / "app").rglob("*.py"), *(ROOT / "tasks").rglob("*.py")]:
        for call in log_calls(path):
            found += 1
            where = f"{path.relative_to(ROOT)}:{call.lineno}"
            text = call.args[0]
            assert isinstance(text, ast.Constant), where
            assert FORM.fullmatch(str(text.value)), where
            assert str(text.value).count("=%") == len(call.args) - 1, where
    assert found > 20


def record(text: str, *values: object, logger: str = "app.bridge.service") -> logging.LogRecord:
    return logging.LogRecord(logger, logging.WARNING, __file__, 1, text, values, None)


def as_json(made: logging.LogRecord) -> dict[str, object]:
    line = JsonFormatter().format(made)
    assert line.isascii()
    assert "\n" not in line
    found: dict[str, object] = json.loads(line)
    return found


def test_event_and_fields_of_a_json_line_are_those_of_the_call() -> None:
    line = as_json(record("not_dispatched slots=%d reason=%s: at the next start", 3, 'a "b"\nc'))
    assert line["ts"]
    del line["ts"]
    assert line == {
        "level": "WARNING",
        "logger": "app.bridge.service",
        "event": "not_dispatched",
        "fields": {"slots": 3, "reason": 'a "b"\nc', "hint": "at the next start"},
    }


def test_an_event_without_fields_keeps_its_hint() -> None:
    line = as_json(record("stopped_behind: the journal keeps its own"))
    assert (line["event"], line["fields"]) == (
        "stopped_behind",
        {"hint": "the journal keeps its own"},
    )


def test_what_a_library_logs_is_a_message() -> None:
    line = as_json(record("Task %s succeeded in 3s: %s", "t", "x=1", logger="celery.app.trace"))
    assert line["event"] == "message"
    assert line["fields"] == {"text": "Task t succeeded in 3s: x=1"}


def test_an_exception_is_in_the_same_json_line() -> None:
    made = record("dispatch_stalled slots=%d", 1)
    try:
        raise ValueError("redis://:hush@h:1/0 is away")
    except ValueError:
        made.exc_info = sys.exc_info()
    line = as_json(made)
    assert "ValueError: redis://:***@h:1/0 is away" in str(line["exception"])


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_value_breaks_a_line_or_shows_a_password(form: str) -> None:
    format_as_set = formatter(Settings(log_format=form)).format  # type: ignore[arg-type]
    line = format_as_set(record("redis_lost reason=%s", "a\r\nb\x1b[2J\u2028 redis://u:hush@h:1"))
    assert line.splitlines() == [line]
    assert "\x1b" not in line
    assert "hush" not in line
