"""The two forms of the database rules, and the merges that docs/deployment.md shows."""

import json
from pathlib import Path
from typing import Any

from app.dev.rtdb.rules import without_comments
from tests.examples import blocks
from tests.system import ROOT

SIGNED_IN, PUBLIC = ROOT / "database.rules.json", ROOT / "database.public.rules.json"
FORMS = (SIGNED_IN, PUBLIC)


def rules_of(form: Path) -> Any:
    return json.loads(without_comments(form.read_text()))


def shown() -> tuple[Any, Any, Any]:
    """Return what the page shows: rules of a team, with ours in them, and below another root."""
    texts = [
        without_comments(block.text)
        for block in blocks()
        if block.place.startswith("docs/deployment.md") and block.text.startswith('{\n  "rules"')
    ]
    theirs, merged, elsewhere = map(json.loads, texts)
    return theirs, merged, elsewhere


def filled_in(example: Any, form: Path) -> Any:
    """Return an example of a merge with our nodes where it says that they go."""
    ours = rules_of(form)["rules"]
    if example == {}:
        raise AssertionError("which node goes here?")
    return {
        key: (ours["services"] if key == "stocks" else ours[key])
        if value == {}
        else filled_in(value, form)
        if isinstance(value, dict)
        else value
        for key, value in example.items()
    }


def merged(form: Path) -> Any:
    """Return the rules of a team with a form in them, as the page shows it."""
    return filled_in(shown()[1], form)
