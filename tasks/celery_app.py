"""The Celery app, and what must hold before a celery command goes on."""

import sys
from pathlib import Path
from typing import Any, NoReturn

from celery import Celery
from celery.signals import celeryd_init

from app.errors import StopProgram
from app.firebase import credential_of
from app.settings import process_settings
from tasks import transport
from tasks.logs import format_logs


def _end_command(error: StopProgram) -> NoReturn:
    """End the celery command with one line: it would print a traceback of any other exception."""
    print(error, file=sys.stderr)  # noqa: T201
    raise SystemExit(error.exit_code) from None


def _is_celery_command(program: Path) -> bool:
    return program.name == "celery" or program.parts[-2:] == ("celery", "__main__.py")


try:
    process_settings()
except StopProgram as wrong:
    if not _is_celery_command(Path(sys.argv[0])):
        raise
    _end_command(wrong)

format_logs(process_settings())
transport.use()
app = Celery("tasks")
app.config_from_object("celeryconfig")


@celeryd_init.connect
def _check_credentials(**_arguments: Any) -> None:
    """Only a worker needs a database and credentials; look before it connects or forks."""
    try:
        credential_of(process_settings())
    except StopProgram as error:
        _end_command(error)
