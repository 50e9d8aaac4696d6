"""The events of a Firebase stream, and the tree that they make. Pure."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple


class Event(NamedTuple):
    """A change below the node that is followed: `put` replaces at `path`, `patch` some below it."""

    kind: str
    path: str
    data: Any

    def changes(self) -> Iterator[tuple[list[str], Any]]:
        """Each node that it sets, as the keys that lead there, with its value."""
        for below, value in ({"": self.data} if self.kind == "put" else self.data).items():
            yield keys_of(self.path) + keys_of(below), value


def events_of(lines: Iterable[str]) -> Iterator[Event]:
    """The events of an event stream; one of kind `keep-alive` brings only the news that it lives.

    Raises:
        ConnectionError: the database ends the stream, and says why.
        ValueError: this is no stream of a Realtime Database.
    """
    kind = ""
    for line in lines:
        name, _, rest = line.partition(": ")
        if name == "event":
            kind = rest
        elif name == "data" and kind in {"put", "patch"}:
            body = json.loads(rest)
            yield Event(kind, body["path"], body["data"])
        elif name == "data" and kind in {"cancel", "auth_revoked"}:
            raise ConnectionError(f"Firebase ends the stream: {kind} {rest}")
        elif name == "data":
            yield Event(kind, "/", None)


def keys_of(path: str) -> list[str]:
    """The keys that lead to a node."""
    return [key for key in path.split("/") if key]


def children(node: Any) -> dict[str, Any]:
    """The children of a node by key; RTDB shows one whose keys are numbers as a list."""
    if isinstance(node, list):
        return {str(key): child for key, child in enumerate(node) if child is not None}
    return node if isinstance(node, dict) else {}


def applied(tree: Any, event: Event) -> Any:
    """The tree after `event`: a new one, the old one is not touched."""
    for keys, value in event.changes():
        tree = _replaced(tree, keys, value)
    return tree


def _replaced(node: Any, keys: list[str], value: Any) -> Any:
    if not keys:
        return value
    known = children(node)
    child = _replaced(known.get(keys[0]), keys[1:], value)
    others = {key: other for key, other in known.items() if key != keys[0]}
    return others if child is None else {**known, keys[0]: child}
