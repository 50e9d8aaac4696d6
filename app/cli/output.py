"""What commands say: their output, and errors and progress beside it."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


def print_lines(*lines: str) -> None:
    """Print the output of a command."""
    for line in lines:
        print(line)


def print_json(value: Any) -> None:
    """Print the output of a command as JSON."""
    print_lines(json.dumps(value, indent=2))


def print_json_line(value: Any) -> None:
    """Print one of many values as a line of JSON, at once."""
    print(json.dumps(value), flush=True)


def print_styled(*spans: tuple[str, str]) -> None:
    """Print one line of texts, each with its style; on a terminal only, and if colours are wanted.

    Args:
        spans: text and style, as rich names it; "" is plain.
    """
    from rich.console import Console  # noqa: PLC0415 - a tenth of a second that most do without
    from rich.text import Text  # noqa: PLC0415

    Console(highlight=False).print(Text.assemble(*spans), soft_wrap=True)


def print_error(text: str) -> None:
    """Print what went wrong, for people."""
    print(f"profit bridge: {text}", file=sys.stderr)


@contextmanager
def progress(text: str) -> Iterator[Callable[[str], None]]:
    """Say what takes long while it does; on a terminal only, and apart from the output.

    What it yields changes the text.
    """
    if not sys.stderr.isatty():
        yield lambda _text: None
        return
    from rich.console import Console  # noqa: PLC0415

    with Console(stderr=True).status(text) as status:
        yield status.update
