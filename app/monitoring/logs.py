"""How a log line looks: `event key=value` for people, or one JSON object for machines.

Every log call of ours is `log.info("event key=%s", value)`: the format says what the arguments are
called, so the JSON form needs nothing that the call does not say already.
"""

import json
import logging
import re
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

from app.settings import Settings, masked

_OURS = ("app", "tasks")
_TEXT = "%(asctime)s %(levelname)s %(name)s %(message)s"
_FIELD = re.compile(r"(\w+)=%[-#0 +]*[\d.]*[sdrf]")
# What a terminal, or a reader of lines, would take for the end of a line or worse.
_CONTROLS = {code: repr(chr(code))[1:-1] for code in (*range(32), *range(127, 160), 0x2028, 0x2029)}


def configure(settings: Settings) -> None:
    """Have this process log to its standard error, in the form that is set."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(settings))
    logging.basicConfig(level=settings.log_level, handlers=[handler])


def formatter(settings: Settings) -> logging.Formatter:
    """The form that is set."""
    return JsonFormatter() if settings.log_format == "json" else TextFormatter(_TEXT)


class TextFormatter(logging.Formatter):
    """One line for each message, whatever is in it; tracebacks below."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """The line, with nothing in it that would end it."""
        record.message = masked(record.message).translate(_CONTROLS)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """The traceback, without secrets."""
        return masked(super().formatException(ei))


class JsonFormatter(logging.Formatter):
    """One JSON object for each message: `ts`, `level`, `logger`, `event`, `fields`, `exception`.

    What other libraries log has the event `message`, and the field `text`.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The object; all ASCII, so that no reader takes anything in it for the end of the line."""
        event, fields = _event_and_fields(record)
        line = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "event": event,
            "fields": fields,
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = masked("".join(traceback.format_exception(*record.exc_info)))
        return json.dumps(line)


def _event_and_fields(record: logging.LogRecord) -> tuple[str, dict[str, Any]]:
    arguments = record.args if isinstance(record.args, tuple) else ()
    names = _FIELD.findall(str(record.msg))
    if record.name.partition(".")[0] not in _OURS or len(names) != len(arguments):
        return "message", {"text": masked(record.getMessage())}
    event, _, rest = str(record.msg).partition(" ")
    fields = {name: _plain(value) for name, value in zip(names, arguments, strict=True)}
    if event.endswith(":"):
        fields["hint"] = rest
    elif ": " in rest:
        fields["hint"] = rest.partition(": ")[2]
    return event.rstrip(":"), fields


def _plain(value: object) -> object:
    return value if isinstance(value, int) else masked(str(value))
