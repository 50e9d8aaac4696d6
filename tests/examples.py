"""The messages that the documentation shows, found where they are shown."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from markdown_it import MarkdownIt

from app.channels import SENDER
from tests.system import ROOT

SOME_TIME = "2025-05-15T13:32:56.582434+00:00"
_BEGINNING = re.compile(r'\{\s*"(data|[A-Z0-9./-]+)":')
_SHELL = re.compile(r"'\$\([^)]*\)'")
_SKETCH = re.compile(r'\{\s*"data": (\{\.\.\.\}|\.\.\.)')


class Example(NamedTuple):
    """A message or a file in the documentation, and the contract that it is an example of."""

    place: str
    contract: str
    value: Any


class Block(NamedTuple):
    """A fenced block of a page."""

    place: str
    language: str
    text: str


def blocks() -> Iterator[Block]:
    for page in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]):
        for token in MarkdownIt().parse(page.read_text()):
            if token.type == "fence":
                line = token.map[0] + 1 if token.map else 0
                yield Block(f"{page.relative_to(ROOT)}:{line}", token.info.strip(), token.content)


def examples() -> Iterator[Example]:
    """Every example in a fenced block of a page, or in a docstring of the code."""
    for block in blocks():
        yield from found_in(block.text, block.place)
    for folder in ("app", "tasks"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            yield from _in_docstrings(file)


def found_in(text: str, place: str) -> Iterator[Example]:
    """The examples in a text. What the shell would put in is a time; `{...}` makes a sketch.

    Raises:
        ValueError: what begins like an example is no JSON.
    """
    text = _SHELL.sub(SOME_TIME, text.replace("'\\\n'", ""))
    position = 0
    while match := _BEGINNING.search(text, position):
        if _SKETCH.match(text, match.start()):
            position = match.end()
            continue
        value, position = json.JSONDecoder().raw_decode(text, match.start())
        yield Example(place, _contract_of(value), value)


def _contract_of(value: dict[str, Any]) -> str:
    if "data" not in value:
        return "daily_file"
    if "type" in value["data"]:
        return "ticker_update"
    return "ticker_performance" if value.get("sender") == SENDER else "profit_report"


def _in_docstrings(file: Path) -> Iterator[Example]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            text = ast.get_docstring(node) or ""
            yield from found_in(text, f"{file.relative_to(ROOT)} {getattr(node, 'name', '')}")
