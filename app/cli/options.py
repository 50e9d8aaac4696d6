"""What the commands share: their settings, the form of their help, and common options."""

import functools
import inspect
import math
import re
from collections.abc import Callable
from datetime import date
from typing import Any

import click

from app.domain import EPOCH
from app.settings import process_settings

_EXIT_CODES = "exit codes: 0 fine, 1 found something or failed, 2 wrong use or setting"


class _Command(click.Command):
    """A command whose help ends with its examples, line by line, and the exit codes."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        examples = inspect.cleandoc(self.epilog or "")
        program = str(ctx.find_root().info_name)
        formatter.write(f"\n{examples.replace('python -m app', program)}\n\n{_EXIT_CODES}\n")


def command(
    examples: str, *, with_settings: bool = True
) -> Callable[[Callable[..., int]], click.Command]:
    """Make a command of a function that returns an exit code; its docstring is the help.

    Args:
        examples: The end of the help: examples, and what else there is to know.
        with_settings: Whether the function gets the settings of this process as its first
            argument, after logging is configured by them.
    """

    def make(function: Callable[..., int]) -> click.Command:
        defaults = {"show_default": True}
        callback = _with_settings(function) if with_settings else function
        return click.command(cls=_Command, epilog=examples, context_settings=defaults)(callback)

    return make


def _with_settings(function: Callable[..., int]) -> Callable[..., int]:
    @functools.wraps(function)
    def call(**options: Any) -> int:
        settings = process_settings()
        # A fifth of a second of imports, which --help and a wrong setting do without.
        from app.monitoring import configure  # noqa: PLC0415

        configure(settings)
        return function(settings, **options)

    return call


def utc_day(text: str) -> int:
    """Days since 1970-01-01."""
    try:
        return (date.fromisoformat(text) - EPOCH.date()).days
    except ValueError:
        raise click.BadParameter(f"must be a day, YYYY-MM-DD, not {text}.") from None


def positive(text: str) -> float:
    """A finite number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise click.BadParameter(f"must be above 0, not {text}.")
    return number


def whole(text: str) -> int:
    """A whole number above 0."""
    number = int(text) if re.fullmatch(r"[0-9]{1,18}", text) else 0
    if number <= 0:
        raise click.BadParameter(f"must be a whole number above 0, not {text}.")
    return number


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
day_option = click.option(
    "--day", type=utc_day, metavar="YYYY-MM-DD", help="The UTC day; today unless given."
)
