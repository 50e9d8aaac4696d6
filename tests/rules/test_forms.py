"""The two forms of the rules, merged into others: what they change, and what they leave alone."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from app.dev.rtdb.rules import load_rules
from app.dev.rtdb.tree import RtdbError, RtdbTree
from tests.node import node_for
from tests.rules.cases import BRIDGE, HEALTH_CHECK, NOBODY, SOFI, USER, Case, performance, tree
from tests.rules.forms import FORMS, PUBLIC, SIGNED_IN, filled_in, rules_of, shown
from tests.rules.test_database_rules import HERE, judged

Judge = Callable[[Any, Sequence[Case]], dict[str, bool | None]]
"""Rules and cases in, and out what each case is allowed, by its name."""

WHO = {"nobody": NOBODY, "a user": USER, "another user": {"uid": "another"}}
ELSEWHERE = [
    Case(f"{name} does {operation} at {path}", False, who, operation, path, value, there)
    for name, who in WHO.items()
    for path in ("chat", "chat/1", "users", "users/a-trader", "profit-bridge", "other", "/")
    for there in [{"chat": {"1": "x"}, "users": {"a-trader": {"seen": 1}}}]
    for operation, value in (("read", None), ("write", {"text": "x"}))
]


def by_targaryen(tmp_path: Path, node: str) -> Judge:
    return lambda rules, cases: judged(node, [(rules, case) for case in cases])


def by_the_local_database(tmp_path: Path, _: str) -> Judge:
    def judge(rules: Any, cases: Sequence[Case]) -> dict[str, bool | None]:
        file = tmp_path / "rules.json"
        file.write_text(json.dumps(rules))
        loaded = load_rules(file)

        def allows(case: Case) -> bool:
            there = RtdbTree()
            there.put((), case.there)
            path = tuple(filter(None, case.path.split("/")))
            if case.operation == "read":
                return loaded.may_read(case.who, path, there.node(()))

            def check(before: Any, after: Any, paths: Any) -> None:
                if not loaded.may_write(case.who, paths, before, after):
                    raise RtdbError(401, "denied")

            try:
                there.put(path, case.value, check)
            except RtdbError:
                return False
            return True

        return {case.name: allows(case) for case in cases}

    return judge


@pytest.fixture(params=[by_targaryen, by_the_local_database])
def judge(request: pytest.FixtureRequest, tmp_path: Path) -> Judge:
    node = node_for(HERE) if request.param is by_targaryen else ""
    judge: Judge = request.param(tmp_path, node)
    return judge


def test_the_forms_are_equal_but_for_who_reads() -> None:
    signed_in, public = SIGNED_IN.read_text(), PUBLIC.read_text()
    assert signed_in.count('".read": "auth != null",') == 1
    assert public == signed_in.replace('".read": "auth != null",', '".read": true,')


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_merged_rules_add_our_nodes_and_change_nothing_else(form: Path, judge: Judge) -> None:
    theirs, merged, _ = shown()
    rules = filled_in(merged, form)
    assert rules == {"rules": theirs["rules"] | rules_of(form)["rules"]}
    before = judge(theirs, ELSEWHERE)
    assert {True, False} == set(before.values())
    assert judge(rules, ELSEWHERE) == before


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
@pytest.mark.parametrize("root", ["services", "desk/stocks"])
def test_who_reads_our_node_is_what_the_form_says(form: Path, root: str, judge: Judge) -> None:
    is_public = form == PUBLIC
    there = tree(performance()) if root == "services" else {"desk": {"stocks": {"SOFI": 1}}}
    place = SOFI.replace("services", root)
    cases = [
        Case("nobody reads all", is_public, NOBODY, "read", root, there=there),
        Case("nobody reads one", is_public, NOBODY, "read", place, there=there),
        Case("a user reads all", True, USER, "read", root, there=there),
        Case("nobody reads a health check", False, NOBODY, "read", "profit-bridge/doctor/1"),
        Case("nobody writes", False, NOBODY, "write", place, performance()),
        Case("a user writes", False, USER, "write", place, performance()),
        Case("the bridge writes", True, BRIDGE, "write", place, performance()),
        Case("the bridge writes something else", False, BRIDGE, "write", place, {"total": 1}),
        Case("the bridge tries to write", True, BRIDGE, "write", HEALTH_CHECK, {"written": "now"}),
        Case("everybody reads the news", root != "services", NOBODY, "read", "desk/news"),
    ]
    _, merged, elsewhere = shown()
    rules = filled_in(merged if root == "services" else elsewhere, form)
    assert judge(rules, cases) == {case.name: case.allowed for case in cases}


def test_who_may_read_everything_goes_on_reading_in_either_form(judge: Judge) -> None:
    case = Case("nobody reads", True, NOBODY, "read", "services", there=tree(performance()))
    for form in FORMS:
        rules = {"rules": {".read": True} | rules_of(form)["rules"]}
        assert judge(rules, [case]) == {"nobody reads": True}
