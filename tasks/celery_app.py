"""The Celery app, and what is checked before a celery command runs."""

import sys
from pathlib import Path
from typing import Any, NoReturn

from celery import Celery
from celery.signals import celeryd_init

from app.errors import StopProgram
from app.firebase import share_sign_in, sign_in_of
from app.settings import process_settings
from tasks import flower, transport
from tasks.logs import format_logs


def _exit_with(error: StopProgram) -> NoReturn:
    """End a celery command with one line. It would print a traceback of the exception itself."""
    print(error, file=sys.stderr)  # noqa: T201
    raise SystemExit(error.exit_code) from None


def _is_celery_command(program: Path) -> bool:
    return program.name == "celery" or program.parts[-2:] == ("celery", "__main__.py")


try:
    process_settings()
except StopProgram as wrong:
    if not _is_celery_command(Path(sys.argv[0])):
        raise
    _exit_with(wrong)

format_logs(process_settings())
if "flower" in sys.argv:
    flower.use_options()
transport.use()
app = Celery("tasks")
app.config_from_object("celeryconfig")


@celeryd_init.connect
def _check_credentials(**_arguments: Any) -> None:
    """Check what only a worker needs, before it connects to anything or forks."""
    try:
        sign_in_of(process_settings())
        share_sign_in()
    except StopProgram as error:
        _exit_with(error)
