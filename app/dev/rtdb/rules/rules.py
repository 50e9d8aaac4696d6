"""Database rules, as the development server enforces them. Pure but for reading the file.

`.read` and `.write` grant a place and all that is below it. `.validate` is asked on the way down to
what is written and everywhere in it, wherever there is something afterwards: so what is removed
need not be valid, and what it is removed from must be. A multi-path write is judged path by path,
each against the tree as it would be after all of them. Listeners are judged when they begin.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, NamedTuple

from app.dev.rtdb.rules.expressions import RuleError, Scope, compiled
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
"""What rules see as `auth`; None for somebody who is not signed in."""


@dataclass
class _RuleNode:
    """The rules of one place, and of the places below it."""

    rules: dict[str, Callable[[Scope], bool]] = field(default_factory=dict)
    children: dict[str, _RuleNode] = field(default_factory=dict)
    wildcard: tuple[str, _RuleNode] | None = None

    def below(self, key: str, variables: Scope) -> tuple[_RuleNode, Scope] | None:
        """The rules of a child, and the $variables there; None if there are none."""
        if key in self.children:
            return self.children[key], variables
        if self.wildcard is None:
            return None
        name, place = self.wildcard
        return place, {**variables, name: key}


class _Step(NamedTuple):
    """A place on the way to another."""

    place: _RuleNode
    path: Path
    variables: Scope


class Rules:
    """The rules of all databases of a server."""

    def __init__(self, root: _RuleNode) -> None:
        self._root = root

    def may_read(self, auth: Claims, path: Path, tree: Node | None) -> bool:
        """Whether who has these claims may read, or listen, at a path."""
        common = {"auth": auth, "now": _now(), "root": Snapshot(tree)}
        return any(
            _holds(step, ".read", {**common, "data": Snapshot(tree, step.path)})
            for step in self._way(path)
        )

    def may_write(
        self, auth: Claims, paths: Iterable[Path], before: Node | None, after: Node | None
    ) -> bool:
        """Whether who has these claims may turn the tree `before` into `after`.

        Args:
            auth: of who asks.
            paths: the places that are set or removed.
            before: the tree as it is.
            after: the tree as it would be.
        """
        common = {"auth": auth, "now": _now(), "root": Snapshot(before)}

        def holds(step: _Step, kind: str) -> bool:
            data, new = Snapshot(before, step.path), Snapshot(after, step.path)
            return _holds(step, kind, {**common, "data": data, "newData": new})

        def is_valid(step: _Step) -> bool:
            is_there = find(after, step.path) is not None
            return not (is_there and ".validate" in step.place.rules) or holds(step, ".validate")

        for path in paths:
            way = list(self._way(path))
            if not any(holds(step, ".write") for step in way):
                return False
            written = _all_below(way[-1], find(after, path)) if len(way) > len(path) else ()
            if not all(map(is_valid, (*way, *written))):
                return False
        return True

    def _way(self, path: Path) -> Iterator[_Step]:
        """The places with rules from the root down to a path."""
        step: _Step | None = _Step(self._root, (), {})
        for key in (*path, None):
            if step is None:
                return
            yield step
            step = None if key is None else _next(step, key)


def _next(step: _Step, key: str) -> _Step | None:
    below = step.place.below(key, step.variables)
    return below and _Step(below[0], (*step.path, key), below[1])


def _all_below(step: _Step, node: Node | None) -> Iterator[_Step]:
    """The places with rules below one where `node` is, where something is in it."""
    for key, child in node.items() if isinstance(node, dict) else ():
        inner = _next(step, key)
        if inner is not None:
            yield inner
            yield from _all_below(inner, child)


def _holds(step: _Step, kind: str, scope: Scope) -> bool:
    rule = step.place.rules.get(kind)
    return rule is not None and rule({**step.variables, **scope})


def _now() -> int:
    return time.time_ns() // 1_000_000


def load_rules(file: FilePath) -> Rules:
    """The rules in a file, which may have comments as Firebase's own may.

    Raises:
        RuleError: the file cannot be read, or has what is not supported.
    """
    try:
        raw = json.loads(without_comments(file.read_text("utf-8")))
    except OSError as error:
        raise RuleError(f"{file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise RuleError(f"{file} is not JSON: {error}") from None
    try:
        if not isinstance(raw, dict) or raw.keys() != {"rules"}:
            raise RuleError('an object with "rules" and nothing else is wanted')
        return Rules(_position(raw["rules"], (), ()))
    except RuleError as error:
        raise RuleError(f"{file}: {error}") from None


def without_comments(text: str) -> str:
    """JSON as every parser takes it, of JSON with comments."""
    return _STRING_OR_COMMENT.sub(lambda found: found[1] or " ", text)


def _position(raw: Any, path: Path, variables: Collection[str]) -> _RuleNode:
    if not isinstance(raw, dict):
        raise RuleError(f"{path_text(path)}: an object is wanted")
    place = _RuleNode()
    for key, value in raw.items():
        below = (*path, key)
        if key in _NAMES_BY_KIND:
            place.rules[key] = _rule(value, below, _NAMES_BY_KIND[key].union(variables))
        elif key.startswith("$"):
            if place.wildcard is not None or key in variables:
                raise RuleError(f"{path_text(below)}: one $variable of a name of its own is wanted")
            place.wildcard = key, _position(value, below, {*variables, key})
        elif is_key(key):
            place.children[key] = _position(value, below, variables)
        elif key != ".indexOn":  # only makes queries faster
            raise RuleError(f"{path_text(below)} is not supported")
    return place


def _rule(value: Any, path: Path, names: Collection[str]) -> Callable[[Scope], bool]:
    try:
        if isinstance(value, bool):
            return lambda _: value
        if isinstance(value, str):
            return compiled(value, names)
        raise RuleError("true, false or an expression is wanted")
    except RuleError as error:
        raise RuleError(f"{path_text(path)}: {error}") from None
