"""The JSON tree of one database, by the rules of Firebase Realtime Database. Pure: no I/O.

What goes in is checked and built completely before anything is changed, so a refused write leaves
nothing behind, also not half of a multi-path one.
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
"""Refuses a write by raising: called with the tree as it is, as it would be, and what is set."""

_PUSH_ALPHABET = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Written:
    """One location that a write set: its absolute path, and what was there before and after.

    None is "nothing there". `before` is cut off from the tree and stays as it was; `after` is
    part of the tree, so read it before the next write.
    """

    path: Path
    before: Node | None
    after: Node | None

    @property
    def changed(self) -> bool:
        """False if the location already had this value: listeners then hear nothing."""
        return not same(self.before, self.after)


@dataclass(frozen=True)
class Change:
    """A committed write: one location for `put`, one or more below `base` for `patch`."""

    kind: Literal["put", "patch"]
    base: Path
    written: tuple[Written, ...]


@dataclass(frozen=True)
class StreamEvent:
    """What one listener is told; `path` is relative to the location it listens to."""

    kind: Literal["put", "patch"]
    path: str
    data: Json


def event_for(change: Change, at: Path) -> StreamEvent | None:
    """What a listener at `at` is told of a change; None if it changed nothing there."""
    changes: dict[Path, Node | None] = {}
    for written in change.written:
        if not written.changed:
            continue
        if written.path[: len(at)] == at:
            changes[written.path] = written.after
        elif at[: len(written.path)] == written.path:
            below = at[len(written.path) :]
            before, after = find(written.before, below), find(written.after, below)
            if not same(before, after):
                changes[at] = after
    if not changes:
        return None
    if change.kind == "put" or at in changes:
        ((path, node),) = changes.items()
        return StreamEvent("put", path_text(path[len(at) :]), export(node))
    base = change.base if change.base[: len(at)] == at else at
    data = {"/".join(path[len(base) :]): export(node) for path, node in changes.items()}
    return StreamEvent("patch", path_text(base[len(at) :]), data)


def leaf_writes(change: Change) -> Iterator[tuple[str, Scalar | None]]:
    """Every leaf that a change wrote, also with the value it had; None for a removed one."""
    for written in change.written:
        after = _leaves(written.path, written.after)
        for path in _leaves(written.path, written.before):
            if path not in after:
                yield path, None
        yield from after.items()


class PushIds:
    """Makes the keys of POST: 20 characters that sort by time, and in order within one ms."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._last_ms = -1
        self._tail = 0

    def next(self) -> str:
        """A new id; later calls give greater ones, even if the clock stands or steps back."""
        now = max(self._now_ms(), self._last_ms)
        # 71 of the 72 random bits: the highest stays free, so that counting up cannot overflow.
        self._tail = self._tail + 1 if now == self._last_ms else secrets.randbits(71)
        self._last_ms = now
        return _base64_sortable(now, 8) + _base64_sortable(self._tail, 12)


class RtdbTree:
    """One database. Every method raises RtdbError, before changing anything, if it refuses."""

    def __init__(self, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        """`now_ms` gives server timestamps and the heads of push ids, in ms since 1970."""
        self._root: Node | None = None
        self._now_ms = now_ms
        self._push_ids = PushIds(now_ms)

    def get(self, path: Path) -> Json:
        """A copy of what is stored at a path, None if nothing is."""
        return export(self.node(path))

    def shallow(self, path: Path) -> Json:
        """Like `get`, with true in the place of every child."""
        node = self.node(path)
        return dict.fromkeys(node, True) if isinstance(node, dict) else node

    def etag(self, path: Path) -> str:
        """A hash of the data that is stored at a path, `null_etag` if there is none."""
        node = self.node(path)
        if node is None:
            return NULL_ETAG
        data = json.dumps(node, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return base64.b64encode(hashlib.sha256(data.encode()).digest()[:20]).decode()

    def node(self, path: Path) -> Node | None:
        """The node itself, not a copy: for reading only."""
        return find(self._root, path)

    def put(self, path: Path, value: Json, check: WriteCheck | None = None) -> Change:
        """Replace what is stored at a path; null deletes it."""
        return self._commit("put", path, {path: value}, check)

    def patch(
        self, path: Path, values: Mapping[str, Json], check: WriteCheck | None = None
    ) -> Change:
        """Replace several locations below a path at once; keys may be paths themselves."""
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
        """Add a child under a new push id, the last key of the change's only path."""
        return self.put((*path, self._push_ids.next()), value, check)

    def delete(self, path: Path, check: WriteCheck | None = None) -> Change:
        """Remove what is stored at a path; objects that become empty vanish with it."""
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
            check(self._root, self._as_it_would_be(written), tuple(values))
        for each in written:
            if each.changed:
                self._replace(each.path, each.after)
        return Change(kind, base, tuple(written))

    def _as_it_would_be(self, written: Iterable[Written]) -> Node | None:
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
        # From the bottom up: a parent that loses its last child goes too.
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
