"""Log lines: `time level logger event key=value` for people, or one JSON object for machines.

A module logs `log.warning("event", key=value)`, with structlog's logger of its name. Records of the
standard library's loggers, such as Celery's, get the same two forms.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

import structlog
from structlog.typing import EventDict

from app.settings import Settings
from app.urls import masked

_TEXT = "%(asctime)s %(levelname)s %(name)s %(message)s"
# Characters that a terminal, or a reader of lines, takes for the end of a line or worse.
_CONTROLS = {code: repr(chr(code))[1:-1] for code in (*range(32), *range(127, 160), 0x2028, 0x2029)}


def configure(settings: Settings) -> None:
    """Log to standard error in the format that is set."""
    use_standard_logging()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(settings))
    logging.basicConfig(level=settings.log_level, handlers=[handler])


def use_standard_logging() -> None:
    """Send structlog's events through `logging`, unless the host program configured structlog."""
    if not structlog.is_configured():
        structlog.configure(
            processors=[
                structlog.stdlib.filter_by_level,
                structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
            ],
            logger_factory=structlog.stdlib.LoggerFactory(),
            wrapper_class=structlog.stdlib.BoundLogger,
        )


def formatter(settings: Settings) -> logging.Formatter:
    """Return a formatter for the format that is set."""
    as_json = settings.log_format == "json"
    return structlog.stdlib.ProcessorFormatter(
        processors=[structlog.processors.format_exc_info, _as_json if as_json else _as_text],
        fmt="%(message)s" if as_json else _TEXT,
    )


def _as_text(_logger: Any, _method: str, event_dict: EventDict) -> str:
    """Write one line, whatever is in it, and the traceback below."""
    _, event, fields, exception = _parts(event_dict)
    hint = fields.pop("hint", "")
    line = " ".join([event, *(f"{name}={value}" for name, value in fields.items())])
    if hint:
        line += f": {hint}"
    line = masked(line.rstrip()).translate(_CONTROLS)
    return f"{line}\n{masked(exception)}" if exception else line


def _as_json(_logger: Any, _method: str, event_dict: EventDict) -> str:
    """Write `ts`, `level`, `logger`, `event`, `fields` and `exception`, all in ASCII.

    A record of a library is the event `message` with the field `text`.
    """
    is_ours = event_dict["_from_structlog"]
    record, event, fields, exception = _parts(event_dict)
    line = {
        "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname,
        "logger": record.name,
        "event": event if is_ours else "message",
        "fields": {name: _plain(value) for name, value in fields.items()}
        if is_ours
        else {"text": masked(event)},
    }
    if exception:
        line["exception"] = masked(exception)
    return json.dumps(line)


def _parts(event_dict: EventDict) -> tuple[logging.LogRecord, str, EventDict, str]:
    record, _ = event_dict.pop("_record"), event_dict.pop("_from_structlog")
    return record, str(event_dict.pop("event")), event_dict, event_dict.pop("exception", "")


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, int | float) else masked(str(value))
