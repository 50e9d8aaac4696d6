"""The values in database rules, and the operations on them. Pure: no I/O."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from app.dev.rtdb.tree import Node, Path, find

BOOLEAN, NUMBER, STRING, NULL, SNAPSHOT = "boolean", "number", "string", "null", "snapshot"
VALUE = "value"
"""A boolean, number, string or null: which one is known when a rule is evaluated."""
CLAIM = "claim"
"""The same or an object: `auth`, and what is in it."""


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


class Method(NamedTuple):
    """A method: how many strings it takes, the kind of its result, and what it does."""

    arguments: int
    kind: str
    run: Callable[..., Any]


METHODS = {
    SNAPSHOT: {
        "val": Method(0, VALUE, lambda snapshot: snapshot.node),
        "exists": Method(0, BOOLEAN, lambda snapshot: snapshot.node is not None),
        "isString": Method(0, BOOLEAN, lambda snapshot: isinstance(snapshot.node, str)),
        "isNumber": Method(0, BOOLEAN, lambda snapshot: is_number(snapshot.node)),
        "isBoolean": Method(0, BOOLEAN, lambda snapshot: isinstance(snapshot.node, bool)),
        "hasChildren": Method(0, BOOLEAN, lambda snapshot: isinstance(snapshot.node, dict)),
        "getPriority": Method(0, VALUE, lambda _: None),  # no node has one here
        "parent": Method(0, SNAPSHOT, Snapshot.parent),
        "child": Method(1, SNAPSHOT, Snapshot.child),
        "hasChild": Method(1, BOOLEAN, lambda snapshot, path: snapshot.has_children([path])),
    },
    STRING: {
        "contains": Method(1, BOOLEAN, operator.contains),
        "beginsWith": Method(1, BOOLEAN, str.startswith),
        "endsWith": Method(1, BOOLEAN, str.endswith),
        "replace": Method(2, STRING, str.replace),
        "toLowerCase": Method(0, STRING, str.lower),
        "toUpperCase": Method(0, STRING, str.upper),
    },
}
"""Methods by the kind of their owner, except those with a list or a regular expression."""


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


def number(value: Any) -> float:
    """Return `value` if it is a number."""
    if is_number(value):
        return float(value)
    raise UndefinedError


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _equal(left: Any, right: Any) -> bool:
    """Return whether two values are equal and have the same type."""
    is_comparable = type(left) is type(right) or (is_number(left) and is_number(right))
    return is_comparable and bool(left == right)


def _ordered(order: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compare(left: Any, right: Any) -> bool:
        both = (left, right)
        if all(map(is_number, both)) or all(isinstance(each, str) for each in both):
            return order(left, right)
        raise UndefinedError

    return compare


def _add(left: Any, right: Any) -> Any:
    """Return the sum of two numbers, or the concatenation if one of them is a string."""
    if is_number(left) and is_number(right):
        return left + right
    return _text(left) + _text(right)


def _text(value: Any) -> str:
    """Return a string, or a number as JavaScript writes it."""
    if isinstance(value, str):
        return value
    if math.isnan(number(value)):
        return "NaN"
    return str(int(value)) if float(value).is_integer() else repr(value)


def _arithmetic(calculate: Callable[[float, float], float]) -> Callable[[Any, Any], float]:
    def compute(left: Any, right: Any) -> float:
        try:
            return calculate(number(left), number(right))
        except (ZeroDivisionError, ValueError):
            return math.nan

    return compute


_EQUAL_KINDS = (BOOLEAN, NUMBER, STRING, NULL)


class Operator(NamedTuple):
    """A binary operator: what operands it takes, the kind of its result, and what it does."""

    operands: tuple[str, ...]
    kind: str
    run: Callable[[Any, Any], Any]


OPERATORS = {
    **dict.fromkeys(("==", "==="), Operator(_EQUAL_KINDS, BOOLEAN, _equal)),
    **dict.fromkeys(
        ("!=", "!=="), Operator(_EQUAL_KINDS, BOOLEAN, lambda left, right: not _equal(left, right))
    ),
    "<": Operator((NUMBER, STRING), BOOLEAN, _ordered(operator.lt)),
    "<=": Operator((NUMBER, STRING), BOOLEAN, _ordered(operator.le)),
    ">": Operator((NUMBER, STRING), BOOLEAN, _ordered(operator.gt)),
    ">=": Operator((NUMBER, STRING), BOOLEAN, _ordered(operator.ge)),
    "+": Operator((NUMBER, STRING), VALUE, _add),
    "-": Operator((NUMBER,), NUMBER, _arithmetic(operator.sub)),
    "*": Operator((NUMBER,), NUMBER, _arithmetic(operator.mul)),
    "/": Operator((NUMBER,), NUMBER, _arithmetic(operator.truediv)),
    "%": Operator((NUMBER,), NUMBER, _arithmetic(math.fmod)),
}
"""All but && and ||, which may leave their right operand alone."""
