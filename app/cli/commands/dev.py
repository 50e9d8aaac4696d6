"""The whole system on this machine."""

import argparse
from argparse import Namespace
from pathlib import Path

from app.cli.options import add_json
from app.settings import Settings

_EPILOG = """examples:
  python -m app dev
  python -m app dev --json    one line with every address, for a program that reads it
  python -m app dev --rules database.rules.json    who may do what is as in production

Nothing of a real deployment is touched, whatever the environment or .env say. Ctrl-C stops all of
it and removes its data."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the form in which the addresses are told, and the rules of the database."""
    parser.epilog = _EPILOG
    add_json(parser)
    parser.add_argument(
        "--rules",
        type=Path,
        metavar="FILE",
        help="hold everybody to these database rules (without them all is open)",
    )


def run(settings: Settings, arguments: Namespace) -> int:
    """Run everything until Ctrl-C or SIGTERM."""
    from app.dev.stack import run as run_stack  # noqa: PLC0415 - absent from the image

    return run_stack(settings, as_json=arguments.json, rules=arguments.rules)
