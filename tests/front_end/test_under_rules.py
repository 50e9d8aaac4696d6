"""Front ends under both forms of the database rules, merged into rules that were there before."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from app.settings import EMULATOR_NAMESPACE
from tests.browser import chromium
from tests.front_end.conftest import HERE, FrontEnd
from tests.rules.cases import performance
from tests.rules.forms import FORMS, PUBLIC, SIGNED_IN, merged
from tests.system import Firebase, wait_until

SOFI = "services/SOFI/performance"
CHAT = {"first": "of the team, and nothing of ours"}


class Database(NamedTuple):
    """A database with the rules of a team, and ours in them."""

    firebase: Firebase
    is_public: bool


@pytest.fixture(scope="module", params=FORMS, ids=lambda form: form.name)
def database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    folder = tmp_path_factory.mktemp("firebase")
    rules = folder / "rules.json"
    rules.write_text(json.dumps(merged(request.param)))
    firebase = Firebase(folder, "--rules", str(rules))
    try:
        firebase.put("", {"services": {"SOFI": {"performance": performance()}}, "chat": CHAT})
        yield Database(firebase, request.param == PUBLIC)
    finally:
        firebase.process.end()


def outcome_of(front_end: FrontEnd, call: str, path: str, *arguments: Any) -> dict[str, Any]:
    number = front_end.order(call, path, *arguments)
    wait_until(lambda: bool(front_end.outcomes(number)), f"end of {call} {path}")
    return front_end.outcomes(number)[0]


def error_of(front_end: FrontEnd, call: str, path: str, *arguments: Any) -> str:
    return str(outcome_of(front_end, call, path, *arguments).get("error")).lower()


def test_a_signed_in_user_sees_every_change_and_makes_none(
    open_front_end: Callable[..., FrontEnd], database: Database
) -> None:
    firebase = database.firebase
    user = open_front_end(firebase.port, {"sub": "a-trader"})
    listening = user.listen("services")
    listening.until({"SOFI": {"performance": performance()}})
    for call, *arguments in (("set", 0), ("remove",), ("update", {"total": 0}), ("push", 1)):
        assert "permission_denied" in error_of(user, call, SOFI, *arguments)
    assert "permission" in error_of(user, "get", "accounts")
    newer = performance(total=3)
    firebase.put(SOFI, newer)
    listening.until({"SOFI": {"performance": newer}})
    firebase.put(SOFI, performance())


def test_without_sign_in_the_form_decides_and_other_nodes_stay_as_they_were(
    open_front_end: Callable[..., FrontEnd], database: Database
) -> None:
    nobody = open_front_end(database.firebase.port)
    if database.is_public:
        listening = nobody.listen("services")
        listening.until({"SOFI": {"performance": performance()}})
        assert nobody("get", SOFI) == performance()
    else:
        assert "permission" in error_of(nobody, "get", SOFI)
        assert "permission_denied" in error_of(nobody, "onValue", "services")
    assert "permission_denied" in error_of(nobody, "set", SOFI, performance())
    assert nobody("get", "chat") == CHAT
    assert "permission_denied" in error_of(nobody, "set", "chat/2", "x")


def test_a_page_in_a_browser_gets_the_same(node: str, database: Database, tmp_path: Path) -> None:
    firebase = database.firebase
    app = {"databaseURL": f"http://{firebase.host}/?ns={EMULATOR_NAMESPACE}"}
    # Any page of the same server, for a place that has local storage, which the SDK uses.
    with chromium(tmp_path) as browser:
        page = browser.open(f"http://{firebase.host}/.about")
        for part in ("app", "database"):
            script = HERE / "node_modules" / "firebase" / f"firebase-{part}-compat.js"
            page.value(script.read_text())
        page.value(
            f"firebase.initializeApp({json.dumps(app)}); window.db = firebase.database();"
            f"db.useEmulator('127.0.0.1', {firebase.port})"
        )

        def seen(path: str) -> Any:
            read = f"db.ref({json.dumps(path)}).once('value')"
            return page.value(f"{read}.then(it => it.val(), error => error.code ?? error.message)")

        assert seen("chat") == CHAT
        if database.is_public:
            assert seen("services") == {"SOFI": {"performance": performance()}}
        else:
            assert "permission_denied" in str(seen("services")).lower()


def test_rules_that_only_name_our_nodes_shut_all_others(
    open_front_end: Callable[..., FrontEnd], tmp_path: Path
) -> None:
    firebase = Firebase(tmp_path, "--rules", str(SIGNED_IN))
    try:
        firebase.put("chat", CHAT)
        assert "permission" in error_of(open_front_end(firebase.port), "get", "chat")
    finally:
        firebase.process.end()
