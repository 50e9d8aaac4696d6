"""The values in database rules, and the operations on them. Pure: no I/O."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from app.dev.rtdb.tree import Node, Path, find


class UndefinedError(Exception):
    """An operation is not defined for its operands."""


class Snapshot(NamedTuple):
    """The type of `data`, `newData` and `root`: a path in the tree before or after a write."""

    root: Node | None
    path: Path = ()

    @property
    def node(self) -> Node | None:
        return find(self.root, self.path)

    def child(self, path: str) -> Snapshot:
        return Snapshot(self.root, (*self.path, *filter(None, path.split("/"))))

    def parent(self) -> Snapshot:
        if not self.path:
            raise UndefinedError
        return Snapshot(self.root, self.path[:-1])

    def has_children(self, paths: Collection[str]) -> bool:
        """Return whether there is a node at each of some paths below this one."""
        return all(self.child(path).node is not None for path in paths)


METHODS: dict[str, Callable[[Snapshot], Any]] = {
    "val": lambda snapshot: snapshot.node,
    "exists": lambda snapshot: snapshot.node is not None,
    "isString": lambda snapshot: isinstance(snapshot.node, str),
    "isNumber": lambda snapshot: _is_number(snapshot.node),
    "isBoolean": lambda snapshot: isinstance(snapshot.node, bool),
    "hasChildren": lambda snapshot: isinstance(snapshot.node, dict),
    "parent": Snapshot.parent,
}
"""Methods without an argument."""

METHODS_WITH_PATH: dict[str, Callable[[Snapshot, str], Any]] = {
    "child": Snapshot.child,
    "hasChild": lambda snapshot, path: snapshot.child(path).node is not None,
}


def boolean(value: Any) -> bool:
    """Return `value` if it is true or false."""
    if isinstance(value, bool):
        return value
    raise UndefinedError


def string(value: Any) -> str:
    """Return `value` if it is a string."""
    if isinstance(value, str):
        return value
    raise UndefinedError


def snapshot(value: Any) -> Snapshot:
    """Return `value` if it is a snapshot."""
    if isinstance(value, Snapshot):
        return value
    raise UndefinedError


def equal(left: Any, right: Any) -> bool:
    """Return whether two values are equal and have the same type."""
    is_comparable = type(left) is type(right) or (_is_number(left) and _is_number(right))
    return is_comparable and bool(left == right)


def different(left: Any, right: Any) -> bool:
    return not equal(left, right)


def _ordered(order: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compare(left: Any, right: Any) -> bool:
        both = (left, right)
        if all(map(_is_number, both)) or all(isinstance(each, str) for each in both):
            return order(left, right)
        raise UndefinedError

    return compare


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": equal,
    "===": equal,
    "!=": different,
    "!==": different,
    "<": _ordered(operator.lt),
    "<=": _ordered(operator.le),
    ">": _ordered(operator.gt),
    ">=": _ordered(operator.ge),
}
"""The last four are defined for two numbers or two strings."""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
