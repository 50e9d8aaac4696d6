"""Queries as they come over the websocket: an order, a range in it, and a limit. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from app.dev.rtdb.tree.nodes import Json, Node, RtdbError, find, parse_path
from app.dev.rtdb.tree.order import MAX_NAME, MIN_NAME, Rank, key_rank, value_rank

Position: TypeAlias = tuple[Rank, Rank]

_BY_PRIORITY, _BY_KEY, _BY_VALUE = ".priority", ".key", ".value"


@dataclass(frozen=True)
class Query:
    """What to show of the children of a node.

    Attributes:
        index: what they are sorted by: `.key`, `.value`, the path of a child, or `.priority`, which
            nothing here has, so that the keys decide.
        start: where the range begins, and whether that place belongs to it; None for no bound.
        end: the same of where it ends.
        limit: how many children at the most; None for all.
        from_end: whether those are the last ones.
    """

    index: str = _BY_PRIORITY
    start: tuple[Position, bool] | None = None
    end: tuple[Position, bool] | None = None
    limit: int | None = None
    from_end: bool = False

    @classmethod
    def from_json(cls, raw: Mapping[str, Json]) -> Query:
        """The query that a client describes. Raises RtdbError 400 if it is none."""
        index, limit = raw.get("i", _BY_PRIORITY), raw.get("l")
        if not isinstance(index, str) or not (limit is None or isinstance(limit, int)):
            raise RtdbError(400, f"This is no query: {dict(raw)}")
        if index not in (_BY_KEY, _BY_VALUE, _BY_PRIORITY):
            parse_path(index)
        return cls(
            index=index,
            start=_start(raw, index),
            end=_end(raw, index),
            limit=limit,
            from_end=raw.get("vf") == "r",
        )

    def select(self, node: Node | None) -> Node | None:
        """The part of a node that the query shows; None if that is nothing."""
        if self.start is None and self.end is None and self.limit is None:
            return node
        if not isinstance(node, dict):
            return None
        places = {key: self._position(key, child) for key, child in node.items()}
        keys = [key for key in sorted(node, key=places.__getitem__) if self._holds(places[key])]
        if self.limit is not None:
            keys = keys[-self.limit :] if self.from_end else keys[: self.limit]
        return {key: node[key] for key in keys} or None

    def _position(self, key: str, child: Node) -> Position:
        if self.index == _BY_VALUE:
            value: Node | None = child
        elif self.index in (_BY_KEY, _BY_PRIORITY):
            value = None
        else:
            value = find(child, parse_path(self.index))
        return value_rank(value), key_rank(key)

    def _holds(self, place: Position) -> bool:
        after_start = self.start is None or (
            self.start[0] < place or (self.start[1] and self.start[0] == place)
        )
        before_end = self.end is None or (
            place < self.end[0] or (self.end[1] and self.end[0] == place)
        )
        return after_start and before_end


def _start(raw: Mapping[str, Json], index: str) -> tuple[Position, bool] | None:
    return _bound(raw, index, ("sp", "sn", "sin"), MIN_NAME) if "sp" in raw else None


def _end(raw: Mapping[str, Json], index: str) -> tuple[Position, bool] | None:
    return _bound(raw, index, ("ep", "en", "ein"), MAX_NAME) if "ep" in raw else None


def _bound(
    raw: Mapping[str, Json], index: str, fields: tuple[str, str, str], any_key: str
) -> tuple[Position, bool]:
    """A place at an end of the range, and whether it belongs to the range."""
    value, key, inclusive = raw.get(fields[0]), raw.get(fields[1], any_key), raw.get(fields[2])
    if index == _BY_KEY:
        value, key = None, value
    if isinstance(value, list | dict) or not isinstance(key, str):
        raise RtdbError(400, f"This is no query: {dict(raw)}")
    return (value_rank(value), key_rank(key)), inclusive is not False
