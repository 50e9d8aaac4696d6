"""database.rules.json, by two evaluators that know nothing of each other."""

import base64
import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests

from app.dev.rtdb.rules import without_comments
from tests.node import node_for
from tests.rules.cases import BRIDGE, CASES, EXPRESSIONS, REFUSED, TREE_BEFORE, USER, Case
from tests.system import ROOT, Firebase

RULES = ROOT / "database.rules.json"
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def firebase(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firebase]:
    firebase = Firebase(tmp_path_factory.mktemp("firebase"), "--rules", str(RULES))
    yield firebase
    firebase.process.end()


@pytest.fixture(scope="module")
def node() -> str:
    return node_for(HERE)


def token_of(claims: dict[str, Any]) -> str:
    """An unsigned token, as an emulator takes it."""
    parts: list[Any] = [{"alg": "none"}, {"sub": claims["uid"], "firebase": {}}]
    texts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode() for part in parts]
    return f"{texts[0].rstrip('=')}.{texts[1].rstrip('=')}."


def as_asker(case: Case) -> dict[str, Any]:
    """What a request of the case says of who asks: the bridge as the Admin SDK does."""
    if case.who == BRIDGE:
        override = {"auth_variable_override": json.dumps(BRIDGE)}
        return {"params": override, "headers": {"Authorization": "Bearer owner"}}
    return {"params": {"auth": token_of(case.who)}} if case.who else {}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_local_server_lets_everybody_do_what_the_table_says(
    case: Case, firebase: Firebase
) -> None:
    firebase.put("", case.there)
    method = {"read": "GET", "write": "PUT", "update": "PATCH"}[case.operation]
    url = f"http://{firebase.host}/{case.path.strip('/')}.json"
    body = None if case.operation == "read" else json.dumps(case.value)
    answer = requests.request(method, url, data=body, timeout=10, **as_asker(case))
    if case.allowed:
        assert answer.status_code == 200
    else:
        assert (answer.status_code, answer.json()) == (401, {"error": "Permission denied"})
        assert firebase.get("") == case.there


def judged(node: str, cases: Sequence[tuple[Any, Case]]) -> dict[str, bool | None]:
    """What targaryen says to each case, under the rules that stand with it, by its name.

    None: it refuses the rules.
    """
    question = [{"rules": rules, **case._asdict()} for rules, case in cases]
    judge = subprocess.run(
        [node, "judge.js"],
        cwd=HERE,
        input=json.dumps(question),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert judge.returncode == 0, judge.stderr
    return dict(zip((case.name for _, case in cases), json.loads(judge.stdout), strict=True))


def test_targaryen_lets_everybody_do_what_the_table_says(node: str) -> None:
    rules = json.loads(without_comments(RULES.read_text()))
    verdicts = judged(node, [(rules, case) for case in CASES])
    assert verdicts == {case.name: case.allowed for case in CASES}


def test_an_expression_means_the_same_to_targaryen(node: str) -> None:
    value = {"b": {"c": 1}}
    cases = [
        (
            {"rules": {"$a": {"$b": {".write": text}}}},
            Case(text, holds, USER, "write", "x/y", value, TREE_BEFORE),
        )
        for text, holds in (EXPRESSIONS | dict.fromkeys(REFUSED, False)).items()
    ]
    assert judged(node, cases) == EXPRESSIONS | dict.fromkeys(REFUSED)
