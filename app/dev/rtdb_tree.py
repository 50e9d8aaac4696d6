"""The JSON tree of one database, by the rules of Firebase Realtime Database. Pure: no I/O.

Inside, a node is a scalar or a non-empty dict of nodes: nulls and empty objects do not exist, and
an array is an object whose keys are integers. What goes in is checked and built completely before
anything is changed, so a refused write leaves nothing behind, also not half of a multi-path one.

Wording of errors: the texts in the constants below are Firebase's own. Where its text is not on
public record (limits, conflicting paths) ours says plainly what is wrong; the status is the same.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeGuard

Scalar: TypeAlias = bool | int | float | str
Node: TypeAlias = "Scalar | dict[str, Node]"
Json: TypeAlias = "Scalar | list[Json] | dict[str, Json] | None"
Path: TypeAlias = tuple[str, ...]

MAX_DEPTH = 32
MAX_KEY_BYTES = 768
MAX_STRING_BYTES = 10 * 1024 * 1024
NULL_ETAG = "null_etag"

INVALID_JSON = "Invalid data; couldn't parse JSON object, array, or value."
INVALID_OBJECT = (
    "Invalid data; couldn't parse JSON object. Are you sending a JSON object with valid key names?"
)
INVALID_KEY = (
    "Invalid data; couldn't parse key beginning at {position}. "
    "Key value can't be empty or contain $ # [ ] / or ."
)
INVALID_PATH = "Invalid path: Invalid token in path"

_FORBIDDEN_IN_KEY = re.compile(r"[.$#\[\]/\x00-\x1f\x7f]")
_ARRAY_INDEX = re.compile(r"0|[1-9][0-9]*")
_INT64 = 2**63
_PUSH_ALPHABET = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"


class RtdbError(Exception):
    """A request that the database refuses.

    `status` is the HTTP status, `text` goes into the body as `{"error": text}`. `key` is the
    offending key of the data, where there is one: only the server knows its place in the body.
    """

    def __init__(self, status: int, text: str, key: str | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.key = key


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


def parse_path(text: str) -> Path:
    """Split `a/b` into keys; empty segments do not count, and `/` is the root.

    Raises RtdbError 400 if a key is not allowed, or if there are more than 32 of them.
    """
    path = tuple(segment for segment in text.split("/") if segment)
    if len(path) > MAX_DEPTH or not all(map(_is_key, path)):
        raise RtdbError(400, INVALID_PATH)
    return path


def path_text(path: Path) -> str:
    """The path as RTDB writes it: `/a/b`, and `/` for the root."""
    return "/" + "/".join(path)


def same(one: Node | None, other: Node | None) -> bool:
    """Whether two nodes hold the same data. Unlike `==`, true is not 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return type(one) is type(other) and one == other


def find(node: Node | None, path: Path) -> Node | None:
    """The node at a path below `node`, None if nothing is there."""
    for key in path:
        if not isinstance(node, dict):
            return None
        node = node.get(key)
    return node


def export(node: Node | None) -> Json:
    """A copy as a client reads it: objects with mostly integer keys have become lists."""
    if not isinstance(node, dict):
        return node
    if all(map(_ARRAY_INDEX.fullmatch, node)):
        # Short strings only: nobody's list has 10^9 places, and int() of a long one is slow.
        size = 1 + max(int(key) if len(key) < 10 else _INT64 for key in node)
        if 2 * len(node) > size:
            return [export(node.get(str(index))) for index in range(size)]
    return {key: export(child) for key, child in node.items()}


def etag_of(node: Node | None) -> str:
    """The ETag of a node: a hash of its data, `null_etag` for a missing one."""
    if node is None:
        return NULL_ETAG
    data = json.dumps(node, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return base64.b64encode(hashlib.sha256(data.encode()).digest()[:20]).decode()


def event_for(change: Change, at: Path) -> StreamEvent | None:
    """What a listener at `at` is told of a change; None if it changed nothing there."""
    news: dict[Path, Node | None] = {}
    for written in change.written:
        if not written.changed:
            continue
        if written.path[: len(at)] == at:
            news[written.path] = written.after
        elif at[: len(written.path)] == written.path:
            below = at[len(written.path) :]
            before, after = find(written.before, below), find(written.after, below)
            if not same(before, after):
                news[at] = after
    if not news:
        return None
    if change.kind == "put" or at in news:
        ((path, node),) = news.items()
        return StreamEvent("put", path_text(path[len(at) :]), export(node))
    base = change.base if change.base[: len(at)] == at else at
    data = {"/".join(path[len(base) :]): export(node) for path, node in news.items()}
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

    def __init__(self, now_ms: Callable[[], int], source: random.Random) -> None:
        self._now_ms = now_ms
        self._random = source
        self._last_ms = -1
        self._tail = 0

    def next(self) -> str:
        """A new id; later calls give greater ones, even if the clock stands or steps back."""
        now = max(self._now_ms(), self._last_ms)
        # 71 of the 72 random bits: the highest stays free, so that counting up cannot overflow.
        self._tail = self._tail + 1 if now == self._last_ms else self._random.getrandbits(71)
        self._last_ms = now
        return _base64_sortable(now, 8) + _base64_sortable(self._tail, 12)


class RtdbTree:
    """One database. Every method raises RtdbError, before changing anything, if it refuses."""

    def __init__(
        self,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        source: random.Random | None = None,
    ) -> None:
        """`now_ms` gives server timestamps, in ms since 1970; `source` the push ids' tails."""
        self._root: Node | None = None
        self._now_ms = now_ms
        self._push_ids = PushIds(now_ms, source or random.SystemRandom())

    def get(self, path: Path) -> Json:
        """A copy of what is stored at a path, None if nothing is."""
        return export(self.node(path))

    def shallow(self, path: Path) -> Json:
        """Like `get`, with true in the place of every child."""
        node = self.node(path)
        return dict.fromkeys(node, True) if isinstance(node, dict) else node

    def etag(self, path: Path) -> str:
        """The ETag of what is stored at a path."""
        return etag_of(self.node(path))

    def node(self, path: Path) -> Node | None:
        """The node itself, not a copy: for reading only."""
        return find(self._root, path)

    def put(self, path: Path, value: Json) -> Change:
        """Replace what is stored at a path; null deletes it."""
        return self._commit("put", path, {path: value})

    def patch(self, path: Path, values: Mapping[str, Json]) -> Change:
        """Replace several locations below a path at once; keys may be paths themselves."""
        absolute: dict[Path, Json] = {}
        for key, value in values.items():
            relative = tuple(segment for segment in key.split("/") if segment)
            if not relative or not all(map(_is_key, relative)):
                raise RtdbError(400, INVALID_KEY, key)
            if path + relative in absolute:
                raise RtdbError(400, f"Path '{path_text(relative)}' is given twice.")
            absolute[path + relative] = value
        for each in absolute:
            for length in range(len(path) + 1, len(each)):
                if each[:length] in absolute:
                    ancestor, below = path_text(each[len(path) : length]), path_text(each)
                    raise RtdbError(400, f"Path '{ancestor}' is an ancestor of '{below}'.")
        return self._commit("patch", path, absolute)

    def post(self, path: Path, value: Json) -> Change:
        """Add a child under a new push id, the last key of the change's only path."""
        return self.put((*path, self._push_ids.next()), value)

    def delete(self, path: Path) -> Change:
        """Remove what is stored at a path; objects that become empty vanish with it."""
        return self.put(path, None)

    def _commit(
        self, kind: Literal["put", "patch"], base: Path, values: Mapping[Path, Json]
    ) -> Change:
        written = []
        now = self._now_ms()
        for path, value in values.items():
            if len(path) > MAX_DEPTH:
                raise RtdbError(400, _too_deep())
            before = self.node(path)
            after = _build(value, before, MAX_DEPTH - len(path), now)
            written.append(Written(path, before, after))
        for each in written:
            if each.changed:
                self._replace(each.path, each.after)
        return Change(kind, base, tuple(written))

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


def _build(value: Json, stored: Node | None, room: int, now_ms: int) -> Node | None:
    """The node for a value from outside. `stored` is what it replaces, `room` the levels left."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, list):
        value = {str(index): item for index, item in enumerate(value)}
    if ".sv" in value:
        return _server_value(value, stored, now_ms)
    node = {}
    for key, item in value.items():
        if not _is_key(key):
            raise RtdbError(400, INVALID_KEY, key)
        if room == 0:
            raise RtdbError(400, _too_deep())
        child = _build(item, find(stored, (key,)), room - 1, now_ms)
        if child is not None:
            node[key] = child
    return node or None


def _number(value: float) -> int | float:
    # 1.0 and 1 are one number to RTDB; one form for both keeps comparing and hashing honest.
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise RtdbError(400, INVALID_JSON)
    if number.is_integer() and -_INT64 <= value < _INT64:
        return int(value)
    return number


def _string(value: str) -> str:
    try:
        size = len(value) if value.isascii() else len(value.encode())
    except UnicodeEncodeError:  # half of a surrogate pair: JSON can write it, UTF-8 cannot
        raise RtdbError(400, INVALID_JSON) from None
    if size > MAX_STRING_BYTES:
        raise RtdbError(400, f"A string is longer than {MAX_STRING_BYTES} bytes.")
    return value


def _server_value(value: Mapping[str, Json], stored: Node | None, now_ms: int) -> int | float:
    wanted = value[".sv"] if len(value) == 1 else None
    if wanted == "timestamp":
        return now_ms
    if isinstance(wanted, dict) and wanted.keys() == {"increment"}:
        step = wanted["increment"]
        if _is_number(step):
            return _number(stored + step if _is_number(stored) else step)
    raise RtdbError(400, INVALID_JSON)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_key(key: str) -> bool:
    if not key or _FORBIDDEN_IN_KEY.search(key):
        return False
    try:
        return len(key if key.isascii() else key.encode()) <= MAX_KEY_BYTES
    except UnicodeEncodeError:
        return False


def _too_deep() -> str:
    return f"The data is nested more than {MAX_DEPTH} levels deep."


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
