"""The log lines of worker and Flower as JSON, where LOG_FORMAT asks for it; else as Celery's."""

import logging
import sys
from typing import Any

from celery.signals import after_setup_logger, after_setup_task_logger, celeryd_init

from app.monitoring import JsonFormatter, configure
from app.settings import Settings, process_settings


def format_logs(settings: Settings) -> None:
    """See to the form of what this process, if it is a celery command, is going to log."""
    if settings.log_format != "json":
        return
    celeryd_init.connect(_from_the_start_on)
    for logger_is_there in (after_setup_logger, after_setup_task_logger):
        logger_is_there.connect(_as_json)
    if "flower" in sys.argv:
        # It logs to who is there already.
        configure(settings)


def _from_the_start_on(instance: Any, **_arguments: Any) -> None:
    """Have a worker print no banner, and log its warnings before Celery prepares for that."""
    instance.quiet = True
    configure(process_settings())
    logging.captureWarnings(True)


def _as_json(logger: logging.Logger, **_arguments: Any) -> None:
    for handler in logger.handlers:
        handler.setFormatter(JsonFormatter())
