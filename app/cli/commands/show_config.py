"""Every setting that is in force."""

import argparse
from argparse import Namespace

from app.cli.options import add_json
from app.cli.output import print_json, print_lines
from app.settings import Settings, described

_EPILOG = """examples:
  python -m app show-config
  python -m app show-config --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the form."""
    parser.epilog = _EPILOG
    add_json(parser)


def run(settings: Settings, arguments: Namespace) -> int:
    """Print every setting, with secrets masked."""
    rows = described(settings)
    if arguments.json:
        print_json({name: value for name, value, _ in rows})
    else:
        print_lines(*(f"{name}={value}  # {meaning}" for name, value, meaning in rows))
    return 0
