"""Options that several commands take."""

import argparse
import math
import re
from datetime import date
from typing import Any

from app.domain import EPOCH


def add_json(parser: argparse.ArgumentParser, **options: Any) -> None:
    """Take `--json`."""
    parser.add_argument("--json", action="store_true", help="print JSON", **options)


def add_day(parser: argparse.ArgumentParser) -> None:
    """Take `--day`; None unless given."""
    parser.add_argument(
        "--day", type=day, metavar="YYYY-MM-DD", help="the UTC day; today unless given"
    )


def day(text: str) -> int:
    """Days since 1970-01-01."""
    try:
        return (date.fromisoformat(text) - EPOCH.date()).days
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a day, YYYY-MM-DD, not {text}") from None


def positive(text: str) -> float:
    """A finite number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"must be above 0, not {text}")
    return number


def whole(text: str) -> int:
    """A whole number above 0."""
    number = int(text) if re.fullmatch(r"[0-9]{1,18}", text) else 0
    if number <= 0:
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, not {text}")
    return number
