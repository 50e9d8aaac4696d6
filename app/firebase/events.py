"""The events of a Firebase stream, and the tree that they add up to. No I/O."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

CHANGES = frozenset({"put", "patch"})
"""The kinds of event that change the tree."""


class Event(NamedTuple):
    """An event at `path`, relative to the node of the stream.

    `put` replaces the node there, `patch` some of the nodes below it; other kinds change nothing.
    """

    kind: str
    path: str
    data: Any

    def changes(self) -> Iterator[tuple[list[str], Any]]:
        """Yield each node that this event sets: the keys of its path, and its value."""
        for below, value in ({"": self.data} if self.kind == "put" else self.data).items():
            yield split_path(self.path) + split_path(below), value


def parse_events(lines: Iterable[str]) -> Iterator[Event]:
    """Yield the events of an event stream, keep-alives included.

    Raises:
        ConnectionError: The database ends the stream, for the reason in the text.
        ValueError: This is not the stream of a Realtime Database.
    """
    kind = ""
    for line in lines:
        name, _, rest = line.partition(": ")
        if name == "event":
            kind = rest
        elif name == "data" and kind in CHANGES:
            body = json.loads(rest)
            yield Event(kind, body["path"], body["data"])
        elif name == "data" and kind in {"cancel", "auth_revoked"}:
            raise ConnectionError(f"Firebase ended the stream: {kind} {rest}")
        elif name == "data":
            yield Event(kind, "/", None)


def split_path(path: str) -> list[str]:
    """Return the keys of a path, without empty ones."""
    return [key for key in path.split("/") if key]


def children(node: Any) -> dict[str, Any]:
    """Return the children of a node by key; RTDB sends those with numeric keys as a list."""
    if isinstance(node, list):
        return {str(key): child for key, child in enumerate(node) if child is not None}
    return node if isinstance(node, dict) else {}


def apply_event(tree: Any, event: Event) -> Any:
    """Return the tree after `event`; `tree` itself stays as it is."""
    for keys, value in event.changes():
        tree = _replace(tree, keys, value)
    return tree


def _replace(node: Any, keys: list[str], value: Any) -> Any:
    if not keys:
        return value
    known = children(node)
    child = _replace(known.get(keys[0]), keys[1:], value)
    others = {key: other for key, other in known.items() if key != keys[0]}
    return others if child is None else {**known, keys[0]: child}
