"""The JSON tree of one database, with the semantics of Firebase Realtime Database. Pure: no I/O.

A write is checked and built completely before anything is changed, so a refused write leaves
nothing behind, not even half of a multi-path one.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from app.dev.rtdb.tree.nodes import (
    INVALID_KEY,
    MAX_DEPTH,
    TOO_DEEP,
    Json,
    Node,
    Path,
    RtdbError,
    Scalar,
    build,
    export,
    find,
    is_key,
    path_text,
    replaced,
    same,
)

NULL_ETAG = "null_etag"

WriteCheck: TypeAlias = Callable[["Node | None", "Node | None", tuple[Path, ...]], None]
"""Called with the trees before and after a write and the paths it sets; raises to refuse it."""

_PUSH_ALPHABET = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Written:
    """One path that a write set, with the nodes before and after.

    None means that there is no node. `before` is detached from the tree and does not change;
    `after` is part of the tree, so read it before the next write.
    """

    path: Path
    before: Node | None
    after: Node | None

    @property
    def changed(self) -> bool:
        """Whether the value is new; if not, listeners are not notified."""
        return not same(self.before, self.after)


@dataclass(frozen=True)
class Change:
    """A committed write: one path for `put`, one or more below `base` for `patch`."""

    kind: Literal["put", "patch"]
    base: Path
    written: tuple[Written, ...]


@dataclass(frozen=True)
class StreamEvent:
    """A change for one listener; `path` is relative to the path that it listens to."""

    kind: Literal["put", "patch"]
    path: str
    data: Json


def event_for(change: Change, listened: Path) -> StreamEvent | None:
    """Return the event for a listener at a path; None if nothing changed there."""
    changes: dict[Path, Node | None] = {}
    for written in change.written:
        if not written.changed:
            continue
        if written.path[: len(listened)] == listened:
            changes[written.path] = written.after
        elif listened[: len(written.path)] == written.path:
            below = listened[len(written.path) :]
            before, after = find(written.before, below), find(written.after, below)
            if not same(before, after):
                changes[listened] = after
    if not changes:
        return None
    if change.kind == "put" or listened in changes:
        ((path, node),) = changes.items()
        return StreamEvent("put", path_text(path[len(listened) :]), export(node))
    base = change.base if change.base[: len(listened)] == listened else listened
    data = {"/".join(path[len(base) :]): export(node) for path, node in changes.items()}
    return StreamEvent("patch", path_text(base[len(listened) :]), data)


def leaf_writes(change: Change) -> Iterator[tuple[str, Scalar | None]]:
    """Yield every leaf that a change wrote, even unchanged ones; None for a removed one."""
    for written in change.written:
        after = _leaves(written.path, written.after)
        for path in _leaves(written.path, written.before):
            if path not in after:
                yield path, None
        yield from after.items()


class PushIds:
    """Generates the keys of POST: 20 characters that sort in the order of their creation."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._last_ms = -1
        self._tail = 0

    def next(self) -> str:
        """Return a new id, greater than all before, even if the clock stops or steps back."""
        now = max(self._now_ms(), self._last_ms)
        # 71 random bits of 72: the highest stays free, so that counting up cannot overflow.
        self._tail = self._tail + 1 if now == self._last_ms else secrets.randbits(71)
        self._last_ms = now
        return _base64_sortable(now, 8) + _base64_sortable(self._tail, 12)


class RtdbTree:
    """One database. A method that refuses raises RtdbError before it changes anything.

    Args:
        now_ms: Clock for server timestamps and push ids, in ms since 1970.
    """

    def __init__(self, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._root: Node | None = None
        self._now_ms = now_ms
        self._push_ids = PushIds(now_ms)

    def get(self, path: Path) -> Json:
        """Return a copy of the value at a path, or None."""
        return export(self.node(path))

    def shallow(self, path: Path) -> Json:
        """Return the value at a path with every child replaced by true."""
        node = self.node(path)
        return dict.fromkeys(node, True) if isinstance(node, dict) else node

    def etag(self, path: Path) -> str:
        """Return a hash of the value at a path, or `null_etag`."""
        node = self.node(path)
        if node is None:
            return NULL_ETAG
        data = json.dumps(node, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return base64.b64encode(hashlib.sha256(data.encode()).digest()[:20]).decode()

    def node(self, path: Path) -> Node | None:
        """Return the node itself, not a copy: only for reading."""
        return find(self._root, path)

    def put(self, path: Path, value: Json, check: WriteCheck | None = None) -> Change:
        """Replace the value at a path; None deletes it."""
        return self._commit("put", path, {path: value}, check)

    def patch(
        self, path: Path, values: Mapping[str, Json], check: WriteCheck | None = None
    ) -> Change:
        """Replace several values below a path at once; keys may be paths."""
        absolute: dict[Path, Json] = {}
        for key, value in values.items():
            relative = tuple(segment for segment in key.split("/") if segment)
            if not relative or not all(map(is_key, relative)):
                raise RtdbError(400, INVALID_KEY, key)
            if path + relative in absolute:
                raise RtdbError(400, f"Path '{path_text(relative)}' is given twice.")
            absolute[path + relative] = value
        for each in absolute:
            for length in range(len(path) + 1, len(each)):
                if each[:length] in absolute:
                    ancestor, below = path_text(each[len(path) : length]), path_text(each)
                    raise RtdbError(400, f"Path '{ancestor}' is an ancestor of '{below}'.")
        return self._commit("patch", path, absolute, check)

    def post(self, path: Path, value: Json, check: WriteCheck | None = None) -> Change:
        """Add a child with a new push id, the last key of the change's only path."""
        return self.put((*path, self._push_ids.next()), value, check)

    def delete(self, path: Path, check: WriteCheck | None = None) -> Change:
        """Remove the value at a path, and every object that becomes empty."""
        return self.put(path, None, check)

    def _commit(
        self,
        kind: Literal["put", "patch"],
        base: Path,
        values: Mapping[Path, Json],
        check: WriteCheck | None,
    ) -> Change:
        written = []
        now = self._now_ms()
        for path, value in values.items():
            if len(path) > MAX_DEPTH:
                raise RtdbError(400, TOO_DEEP)
            before = self.node(path)
            after = build(value, before, MAX_DEPTH - len(path), now)
            written.append(Written(path, before, after))
        if check is not None:
            check(self._root, self._after(written), tuple(values))
        for each in written:
            if each.changed:
                self._replace(each.path, each.after)
        return Change(kind, base, tuple(written))

    def _after(self, written: Iterable[Written]) -> Node | None:
        root = self._root
        for each in written:
            root = replaced(root, each.path, each.after)
        return root

    def _replace(self, path: Path, node: Node | None) -> None:
        if not path:
            self._root = node
        elif node is None:
            self._remove(path)
        else:
            if not isinstance(self._root, dict):
                self._root = {}
            parent = self._root
            for key in path[:-1]:
                child = parent.get(key)
                if not isinstance(child, dict):
                    child = parent[key] = {}
                parent = child
            parent[path[-1]] = node

    def _remove(self, path: Path) -> None:
        # From the bottom up: a parent that loses its last child is removed too.
        for length in range(len(path), 0, -1):
            parent = self.node(path[: length - 1])
            if not isinstance(parent, dict):
                return
            parent.pop(path[length - 1], None)
            if parent:
                return
        self._root = None


def _leaves(path: Path, node: Node | None) -> dict[str, Scalar]:
    leaves: dict[str, Scalar] = {}

    def collect(text: str, node: Node) -> None:
        if isinstance(node, dict):
            for key, child in node.items():
                collect(f"{text}/{key}", child)
        else:
            leaves[text or "/"] = node

    if node is not None:
        collect(path_text(path).rstrip("/"), node)
    return leaves


def _base64_sortable(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 64)
        digits.append(_PUSH_ALPHABET[digit])
    return "".join(reversed(digits))
