"""All printing: the output of commands on stdout, errors and progress on stderr."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO


def print_lines(*lines: str, to: TextIO | None = None) -> None:
    """Print lines to standard output, or to another stream."""
    for line in lines:
        print(line, file=to)


def print_bytes(data: bytes) -> None:
    """Print bytes as they are."""
    sys.stdout.buffer.write(data)


def print_json(value: Any) -> None:
    """Print a whole JSON document."""
    print_lines(json.dumps(value, indent=2))


def print_json_line(value: Any) -> None:
    """Print one line of JSON Lines, without buffering."""
    print(json.dumps(value), flush=True)


def print_styled(*spans: tuple[str, str]) -> None:
    """Print one line, in colour if stdout is a terminal.

    Args:
        spans: Each text with its style, as rich names it; "" is plain.
    """
    from rich.console import Console  # noqa: PLC0415 - most commands save its tenth of a second
    from rich.text import Text  # noqa: PLC0415

    Console(highlight=False).print(Text.assemble(*spans), soft_wrap=True)


def print_error(text: str) -> None:
    """Print what went wrong, as one line for a person."""
    print(f"profit bridge: {text}", file=sys.stderr)


@contextmanager
def progress(text: str) -> Iterator[Callable[[str], None]]:
    """Show a text while a slow step runs, on a terminal; yield a function that changes it."""
    if not sys.stderr.isatty():
        yield lambda _text: None
        return
    from rich.console import Console  # noqa: PLC0415

    with Console(stderr=True).status(text) as status:
        yield status.update
