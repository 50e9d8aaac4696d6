"""The front end under database.rules.json: a signed-in user reads, and nothing else."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.front_end.conftest import FrontEnd
from tests.rules.cases import performance
from tests.system import ROOT, Firebase, wait_until

SOFI = "services/SOFI/performance"


@pytest.fixture(scope="module")
def firebase(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firebase]:
    rules = ("--rules", str(ROOT / "database.rules.json"))
    firebase = Firebase(tmp_path_factory.mktemp("firebase"), *rules)
    try:
        firebase.put(SOFI, performance())
        yield firebase
    finally:
        firebase.process.end()


def error_of(front_end: FrontEnd, call: str, path: str, *arguments: Any) -> str:
    number = front_end.order(call, path, *arguments)
    wait_until(lambda: bool(front_end.outcomes(number)), f"end of {call} {path}")
    return str(front_end.outcomes(number)[0].get("error"))


def test_a_signed_in_user_sees_every_change_and_makes_none(
    open_front_end: Callable[..., FrontEnd], firebase: Firebase
) -> None:
    user = open_front_end(firebase.port, {"sub": "a-trader"})
    listening = user.listen("services")
    listening.until({"SOFI": {"performance": performance()}})
    for call, *arguments in (("set", 0), ("remove",), ("update", {"total": 0}), ("push", 1)):
        assert "permission_denied" in error_of(user, call, SOFI, *arguments).lower()
    assert "permission" in error_of(user, "get", "accounts").lower()
    newer = performance(total=3)
    firebase.put(SOFI, newer)
    listening.until({"SOFI": {"performance": newer}})


def test_who_is_not_signed_in_sees_nothing(
    open_front_end: Callable[..., FrontEnd], firebase: Firebase
) -> None:
    nobody = open_front_end(firebase.port)
    assert "permission" in error_of(nobody, "get", SOFI).lower()
    assert "permission_denied" in error_of(nobody, "set", SOFI, performance()).lower()
    assert "permission_denied" in error_of(nobody, "onValue", SOFI).lower()
