"""The log lines of worker and Flower, in the bridge's two formats."""

import logging
import sys
from typing import Any

from celery.signals import after_setup_logger, after_setup_task_logger, celeryd_init

from app.monitoring import configure, formatter, use_standard_logging
from app.settings import Settings, process_settings


def format_logs(settings: Settings) -> None:
    """Set the format in which this process logs, if it is a celery command."""
    use_standard_logging()
    for logger_is_set_up in (after_setup_logger, after_setup_task_logger):
        logger_is_set_up.connect(_use_format)
    if settings.log_format == "json":
        celeryd_init.connect(_configure_early)
    if "flower" in sys.argv:
        # It sends none of these signals, and uses the handlers that it finds.
        configure(settings)


def _configure_early(instance: Any, **_arguments: Any) -> None:
    """Keep a worker from printing its banner, and from logging before Celery sets logging up."""
    instance.quiet = True
    configure(process_settings())
    logging.captureWarnings(True)


def _use_format(logger: logging.Logger, **_arguments: Any) -> None:
    for handler in logger.handlers:
        handler.setFormatter(formatter(process_settings()))
