"""Rules mean here what they mean to Firebase, or are refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.dev.rtdb.rules import RuleError, Rules, load_rules
from app.dev.rtdb.server import main
from app.dev.rtdb.tree import RtdbError, RtdbTree
from tests.rules.cases import EXPRESSIONS, REFUSED, TREE_BEFORE, UNSUPPORTED, USER
from tests.system import ROOT


def rules_of(folder: Path, rules: Any) -> Rules:
    file = folder / "rules.json"
    file.write_text(json.dumps({"rules": rules}))
    return load_rules(file)


def may_write(rules: Rules, path: str, value: Any, there: Any = None) -> bool:
    tree = RtdbTree()
    tree.put((), there)
    verdicts = []
    tree.put(
        tuple(path.split("/")),
        value,
        lambda before, after, paths: verdicts.append(rules.may_write(USER, paths, before, after)),
    )
    return verdicts == [True]


@pytest.mark.parametrize(("expression", "holds"), EXPRESSIONS.items())
def test_an_expression_means_what_the_table_says(
    expression: str, holds: bool, tmp_path: Path
) -> None:
    rules = rules_of(tmp_path, {"$a": {"$b": {".write": expression}}})
    assert may_write(rules, "x/y", {"b": {"c": 1}}, TREE_BEFORE) is holds


@pytest.mark.parametrize(("expression", "reason"), (REFUSED | UNSUPPORTED).items())
def test_an_expression_that_means_nothing_here_is_refused_in_one_line(
    expression: str, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(RuleError, match=r"rules\.json: /\$a/\.write: ") as refused:
        rules_of(tmp_path, {"$a": {".write": expression}})
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "rules",
    [
        {"a": {".write": 1}},
        {"a": {".read": "newData.exists()"}},
        {"a": {".wirte": True}},
        {"a": True},
        {"$a": {}, "$b": {}},
        {"$a": {"$a": {}}},
        {"a/b": {}},
    ],
)
def test_rules_of_another_shape_are_refused(rules: Any, tmp_path: Path) -> None:
    with pytest.raises(RuleError):
        rules_of(tmp_path, rules)


def test_a_file_that_is_no_rules_ends_the_server_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rules.json"
    for text in (None, "{", '{"rules": {}, "more": 1}', '{"rules": {".write": "maybe"}}'):
        if text is not None:
            file.write_text(text)
        assert main(["--rules", str(file)]) == 1
        said = capsys.readouterr().err
        assert said.startswith(f"The development database cannot start: {file}")
        assert said.count("\n") == 1


def test_what_is_granted_is_granted_below_and_nothing_can_take_it_back(tmp_path: Path) -> None:
    rules = rules_of(
        tmp_path,
        {"a": {".read": True, ".write": True, "b": {".read": False, ".write": False}}},
    )
    assert rules.may_read(None, ("a", "b", "c"), None)
    assert may_write(rules, "a/b/c", 1)
    assert not rules.may_read(None, (), None)
    assert not may_write(rules, "b", 1)


def test_what_is_known_by_name_has_not_the_rules_of_the_others(tmp_path: Path) -> None:
    rules = rules_of(tmp_path, {"a": {}, "$other": {".write": "$other == 'b'"}})
    assert may_write(rules, "b", 1)
    assert not may_write(rules, "a", 1)


def test_what_is_written_is_valid_from_the_top_to_its_last_leaf(tmp_path: Path) -> None:
    rules = rules_of(
        tmp_path,
        {
            ".write": True,
            ".validate": "newData.hasChild('a')",
            "a": {"$b": {"$c": {".validate": "newData.isNumber()"}}},
        },
    )
    assert may_write(rules, "a", {"b": {"c": 1}})
    assert not may_write(rules, "a", {"b": {"c": 1, "d": "x"}})
    assert not may_write(rules, "b", 1)
    assert may_write(rules, "b", 1, there={"a": 1})
    assert not may_write(rules, "a", None, there={"a": 1, "b": 1})
    assert may_write(rules, "a", None, there={"a": 1})


def test_the_rules_of_the_project_are_read_with_their_comments() -> None:
    tree = RtdbTree()
    rules = load_rules(ROOT / "database.rules.json")

    def check(before: Any, after: Any, paths: Any) -> None:
        if not rules.may_write(USER, paths, before, after):
            raise RtdbError(401, "Permission denied")

    with pytest.raises(RtdbError):
        tree.put(("services", "SOFI"), {"price": 1}, check)
    assert tree.get(()) is None
