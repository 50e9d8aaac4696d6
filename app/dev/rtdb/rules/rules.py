"""The enforcement of database rules. Pure, apart from reading the file.

`.read` and `.write` grant access to a path and everything below it. `.validate` is evaluated on the
way down to a written path and everywhere below it, wherever there is a node afterwards: a removed
node need not be valid, but the nodes above it must be. Each path of a multi-path write is judged
against the tree after the whole write. Listeners are judged when they start.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, NamedTuple

from app.dev.rtdb.rules.expressions import RuleError, Scope, compile_rule
from app.dev.rtdb.rules.values import Snapshot
from app.dev.rtdb.tree import Json, Node, Path, find, is_key, path_text

_NAMES = frozenset({"auth", "now", "root", "data"})
_NAMES_BY_KIND = {
    ".read": _NAMES,
    ".write": _NAMES | {"newData"},
    ".validate": _NAMES | {"newData"},
}
_STRING_OR_COMMENT = re.compile(r'("(?:[^"\\]|\\.)*")|//[^\n]*|/\*.*?\*/', re.DOTALL)

Claims = Mapping[str, Json] | None
"""What rules see as `auth`; None without a sign-in."""


@dataclass
class _RuleNode:
    """The rules of one path, and of the paths below it."""

    rules: dict[str, Callable[[Scope], bool]] = field(default_factory=dict)
    children: dict[str, _RuleNode] = field(default_factory=dict)
    indexes: Collection[str] = ()
    wildcard: tuple[str, _RuleNode] | None = None

    def below(self, key: str, variables: Scope) -> tuple[_RuleNode, Scope] | None:
        """Return the rules of a child and its $variables, or None."""
        if key in self.children:
            return self.children[key], variables
        if self.wildcard is None:
            return None
        name, node = self.wildcard
        return node, {**variables, name: key}


class _Step(NamedTuple):
    """A path with rules, on the way down to another path."""

    rule_node: _RuleNode
    path: Path
    variables: Scope


class Rules:
    """The rules of a database.

    Args:
        text: JSON, with comments as on Firebase.

    Raises:
        RuleError: The text is not JSON, or has what Firebase refuses or what is not supported.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            raw = json.loads(without_comments(text))
        except ValueError as error:
            raise RuleError(f"not JSON: {error}") from None
        if not isinstance(raw, dict) or raw.keys() != {"rules"}:
            raise RuleError('expected an object with "rules" and nothing else')
        self._root = _parse_node(raw["rules"], (), ())

    def has_index(self, path: Path, index: str) -> bool:
        """Return whether the children at a path may be sorted by `index`, as `.indexOn` has it."""
        steps = list(self._steps_to(path))
        return len(steps) > len(path) and index in steps[-1].rule_node.indexes

    def may_read(self, auth: Claims, path: Path, tree: Node | None) -> bool:
        """Return whether these claims allow reading or listening at a path."""
        common = {"auth": auth, "now": _now(), "root": Snapshot(tree)}
        return any(
            _is_granted(step, ".read", {**common, "data": Snapshot(tree, step.path)})
            for step in self._steps_to(path)
        )

    def may_write(
        self, auth: Claims, paths: Iterable[Path], before: Node | None, after: Node | None
    ) -> bool:
        """Return whether these claims allow changing the tree `before` into `after`.

        Args:
            auth: Claims of the principal.
            paths: Paths that are set or removed.
            before: Tree before the write.
            after: Tree after the write.
        """
        common = {"auth": auth, "now": _now(), "root": Snapshot(before)}

        def holds(step: _Step, kind: str) -> bool:
            data, new = Snapshot(before, step.path), Snapshot(after, step.path)
            return _is_granted(step, kind, {**common, "data": data, "newData": new})

        def is_valid(step: _Step) -> bool:
            is_there = find(after, step.path) is not None
            return not (is_there and ".validate" in step.rule_node.rules) or holds(
                step, ".validate"
            )

        for path in paths:
            steps = list(self._steps_to(path))
            if not any(holds(step, ".write") for step in steps):
                return False
            reached = len(steps) > len(path)
            written = _all_below(steps[-1], find(after, path)) if reached else ()
            if not all(map(is_valid, (*steps, *written))):
                return False
        return True

    def _steps_to(self, path: Path) -> Iterator[_Step]:
        """Yield the paths with rules from the root down to a path."""
        step: _Step | None = _Step(self._root, (), {})
        for key in (*path, None):
            if step is None:
                return
            yield step
            step = None if key is None else _next(step, key)


def _next(step: _Step, key: str) -> _Step | None:
    below = step.rule_node.below(key, step.variables)
    return below and _Step(below[0], (*step.path, key), below[1])


def _all_below(step: _Step, node: Node | None) -> Iterator[_Step]:
    """Yield the paths with rules below a step where `node` has children."""
    for key, child in node.items() if isinstance(node, dict) else ():
        inner = _next(step, key)
        if inner is not None:
            yield inner
            yield from _all_below(inner, child)


def _is_granted(step: _Step, kind: str, scope: Scope) -> bool:
    rule = step.rule_node.rules.get(kind)
    return rule is not None and rule({**step.variables, **scope})


def _now() -> int:
    return time.time_ns() // 1_000_000


def load_rules(file: FilePath) -> Rules:
    """Load rules from a file.

    Raises:
        RuleError: The file cannot be read, or its rules cannot be used.
    """
    try:
        return Rules(file.read_text("utf-8"))
    except OSError as error:
        raise RuleError(f"{file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise RuleError(f"{file}: {error}") from None


def without_comments(text: str) -> str:
    """Return plain JSON for JSON with comments."""
    return _STRING_OR_COMMENT.sub(lambda found: found[1] or " ", text)


def _parse_node(raw: Any, path: Path, variables: Collection[str]) -> _RuleNode:
    if not isinstance(raw, dict):
        raise RuleError(f"{path_text(path)}: expected an object")
    node = _RuleNode()
    for key, value in raw.items():
        below = (*path, key)
        if key in _NAMES_BY_KIND:
            node.rules[key] = _parse_rule(value, below, _NAMES_BY_KIND[key].union(variables))
        elif key.startswith("$"):
            if node.wildcard is not None or key in variables:
                raise RuleError(f"{path_text(below)}: expected one $variable with a unique name")
            node.wildcard = key, _parse_node(value, below, {*variables, key})
        elif is_key(key):
            node.children[key] = _parse_node(value, below, variables)
        elif key == ".indexOn":
            node.indexes = _parse_indexes(value, below)
        else:
            raise RuleError(f"{path_text(below)}: no rule is called this")
    return node


def _parse_indexes(value: Any, path: Path) -> Collection[str]:
    indexes = value if isinstance(value, list) else [value]
    if not all(isinstance(index, str) for index in indexes):
        raise RuleError(f"{path_text(path)}: expected a string, or a list of strings")
    return indexes


def _parse_rule(value: Any, path: Path, names: Collection[str]) -> Callable[[Scope], bool]:
    try:
        if isinstance(value, bool):
            return lambda _: value
        if isinstance(value, str):
            return compile_rule(value, names)
        raise RuleError("expected true, false or an expression")
    except RuleError as error:
        raise RuleError(f"{path_text(path)}: {error}") from None
