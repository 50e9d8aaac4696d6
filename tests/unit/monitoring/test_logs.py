"""A log line is `event key=value`, and whatever the values are, one line."""

import ast
import json
import logging
import re
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest
import structlog

from app.monitoring import formatter, use_standard_logging
from app.settings import Settings
from tests.system import ROOT

EVENT = re.compile(r"[a-z][a-z0-9_]*")
STANDARD = re.compile(r"[a-z][a-z0-9_]*( [a-z_]+=%[sdr])*(: [^%=]+)?")
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
# What runs beside the services, and in a bot, uses the standard library alone.
STANDARD_FOLDERS = ("app/publisher", "app/dev")


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
        is_standard = str(path.relative_to(ROOT)).startswith(STANDARD_FOLDERS)
        for call in log_calls(path):
            found += 1
            where = f"{path.relative_to(ROOT)}:{call.lineno}"
            text = call.args[0]
            assert isinstance(text, ast.Constant), where
            form = STANDARD if is_standard else EVENT
            assert form.fullmatch(str(text.value)), where
            assert str(text.value).count("=%") == len(call.args) - 1, where
    assert found > 20


LogLines = Callable[[], list[str]]


@pytest.fixture
def lines_of() -> Iterator[Callable[[str], LogLines]]:
    """Log in a format; the lines so far."""
    use_standard_logging()
    root, level = logging.getLogger(), logging.getLogger().level
    handlers: list[logging.Handler] = []

    def logged(form: str) -> LogLines:
        stream = StringIO()
        handler = logging.StreamHandler(stream)
        handler.setFormatter(formatter(Settings(log_format=form)))  # type: ignore[arg-type]
        handlers.append(handler)
        root.addHandler(handler)
        root.setLevel(logging.INFO)
        return lambda: stream.getvalue().split("\n")[:-1]

    yield logged
    root.setLevel(level)
    for handler in handlers:
        root.removeHandler(handler)


Logged = Callable[[str], LogLines]
log = structlog.stdlib.get_logger("app.bridge.service")
library = logging.getLogger("celery.app.trace")


def the_json_line(lines: LogLines) -> dict[str, object]:
    (line,) = lines()
    assert line.isascii()
    found: dict[str, object] = json.loads(line)
    return found


def test_event_and_fields_of_a_json_line_are_those_of_the_call(lines_of: Logged) -> None:
    lines = lines_of("json")
    log.warning("not_dispatched", slots=3, reason='a "b"\nc', hint="at the next start")
    line = the_json_line(lines)
    assert line.pop("ts")
    assert line == {
        "level": "WARNING",
        "logger": "app.bridge.service",
        "event": "not_dispatched",
        "fields": {"slots": 3, "reason": 'a "b"\nc', "hint": "at the next start"},
    }


def test_a_text_line_has_time_level_logger_event_fields_and_hint(lines_of: Logged) -> None:
    lines = lines_of("text")
    log.warning("not_dispatched", slots=3, path=Path("/a b"), hint="at the next start")
    library.warning("Task %s succeeded", "t")
    ours, theirs = lines()
    rest = "app.bridge.service not_dispatched slots=3 path=/a b: at the next start"
    assert re.fullmatch(
        rf"\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d,\d{{3}} WARNING {re.escape(rest)}", ours
    )
    assert theirs.endswith(" WARNING celery.app.trace Task t succeeded")


def test_fields_keep_their_types(lines_of: Logged) -> None:
    lines = lines_of("json")
    fields = {"count": 3, "ratio": 0.5, "late": True, "nothing": None}
    log.info("counted", path=Path("/data"), **fields)
    assert the_json_line(lines)["fields"] == {**fields, "path": "/data"}


def test_what_a_library_logs_is_a_message(lines_of: Logged) -> None:
    lines = lines_of("json")
    library.warning("Task %s succeeded in 3s: %s", "t", "x=1")
    line = the_json_line(lines)
    assert line["event"] == "message"
    assert line["fields"] == {"text": "Task t succeeded in 3s: x=1"}


def test_below_the_level_nothing_is_logged(lines_of: Logged) -> None:
    lines = lines_of("text")
    log.debug("status_request_failed")
    assert lines() == []


@pytest.mark.parametrize("logger", [log, library], ids=["ours", "a library's"])
def test_an_exception_is_in_the_same_json_line(
    lines_of: Logged, logger: logging.Logger | structlog.stdlib.BoundLogger
) -> None:
    lines = lines_of("json")
    try:
        raise ValueError("redis://:hush@h:1/0 is away")
    except ValueError:
        logger.exception("dispatch_failed")
    line = the_json_line(lines)
    assert "ValueError: redis://:***@h:1/0 is away" in str(line["exception"])


def test_an_exception_is_below_its_text_line(lines_of: Logged) -> None:
    lines = lines_of("text")
    try:
        raise ValueError("redis://:hush@h:1/0 is away")
    except ValueError:
        log.exception("dispatch_failed", slots=1)
    first, *traceback = lines()
    assert first.endswith(" ERROR app.bridge.service dispatch_failed slots=1")
    assert traceback[-1] == "ValueError: redis://:***@h:1/0 is away"


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_value_breaks_a_line_or_shows_a_password(lines_of: Logged, form: str) -> None:
    lines = lines_of(form)
    log.warning("redis_lost", reason="a\r\nb\x1b[2J\u2028 redis://u:hush@h:1")
    (line,) = lines()
    assert line.splitlines() == [line]
    assert "\x1b" not in line
    assert "hush" not in line
