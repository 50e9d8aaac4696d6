"""Queries of the websocket protocol and of REST: an order, a range in it, and a limit. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from app.dev.rtdb.tree.nodes import Json, Node, RtdbError, find, parse_path
from app.dev.rtdb.tree.order import MAX_NAME, MIN_NAME, Rank, key_rank, value_rank

Position: TypeAlias = tuple[Rank, Rank]

_BY_PRIORITY, _BY_KEY, _BY_VALUE = ".priority", ".key", ".value"

PARAMETERS = {"orderBy", "startAt", "endAt", "equalTo", "limitToFirst", "limitToLast"}
"""Of a REST request; each but the first needs the first."""

_REST_INDEXES = {"$priority": _BY_PRIORITY, "$key": _BY_KEY, "$value": _BY_VALUE}
_NO_ORDER = "orderBy must be defined when other query parameters are defined"
_INVALID_ORDER = "orderBy must be a valid JSON encoded path"
_INVALID_BOUND = "Constraint index field must be a JSON primitive"
_INVALID_KEY = "Provided key index type is invalid, must be string"


@dataclass(frozen=True)
class Query:
    """Selects some of the children of a node.

    Attributes:
        index: What to sort by: `.key`, `.value`, the path of a child, or `.priority`, which no
            node has here, so that keys decide.
        start: Start of the range, and whether it is included; None for no bound.
        end: End of the range, and whether it is included; None for no bound.
        limit: Most children to select; None for all.
        from_end: Whether to select the last ones.
    """

    index: str = _BY_PRIORITY
    start: tuple[Position, bool] | None = None
    end: tuple[Position, bool] | None = None
    limit: int | None = None
    from_end: bool = False

    @classmethod
    def from_json(cls, raw: Mapping[str, Json]) -> Query:
        """Return the query that a client describes; raise RtdbError 400 if it is invalid."""
        index, limit = raw.get("i", _BY_PRIORITY), raw.get("l")
        if not isinstance(index, str) or not (limit is None or isinstance(limit, int)):
            raise RtdbError(400, f"Invalid query: {dict(raw)}")
        if index not in (_BY_KEY, _BY_VALUE, _BY_PRIORITY):
            parse_path(index)
        return cls(
            index=index,
            start=_start(raw, index),
            end=_end(raw, index),
            limit=limit,
            from_end=raw.get("vf") == "r",
        )

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str]) -> Query:
        """Return the query of a REST request; raise RtdbError 400 if it is invalid."""
        if "orderBy" not in parameters:
            raise RtdbError(400, _NO_ORDER)
        order = _from_json(parameters["orderBy"], _INVALID_ORDER)
        if not isinstance(order, str) or not order.strip("/"):
            raise RtdbError(400, _INVALID_ORDER)
        index = _REST_INDEXES.get(order, order)
        raw: dict[str, Json] = {"i": index}
        for name, bounds in (("startAt", "s"), ("endAt", "e"), ("equalTo", "se")):
            if name in parameters:
                value = _from_json(parameters[name], _INVALID_BOUND)
                if index == _BY_KEY and not isinstance(value, str):
                    raise RtdbError(400, _INVALID_KEY)
                raw |= {f"{bound}p": value for bound in bounds}
        for name, side in (("limitToFirst", "l"), ("limitToLast", "r")):
            if name in parameters:
                raw |= {"l": _limit(name, parameters[name]), "vf": side}
        if {"limitToFirst", "limitToLast"} <= parameters.keys():
            raise RtdbError(400, "limitToFirst and limitToLast exclude each other")
        if "equalTo" in parameters and not {"startAt", "endAt"}.isdisjoint(parameters):
            raise RtdbError(400, "equalTo and startAt or endAt exclude each other")
        return cls.from_json(raw)

    @property
    def needed_index(self) -> str | None:
        """What `.indexOn` has to name for this query; None if nothing."""
        return None if self.index in (_BY_KEY, _BY_PRIORITY) else self.index

    def select(self, node: Node | None) -> Node | None:
        """Return the part of a node that the query selects, or None."""
        if self.start is None and self.end is None and self.limit is None:
            return node
        if not isinstance(node, dict):
            return None
        positions = {key: self._position(key, child) for key, child in node.items()}
        ordered = sorted(node, key=positions.__getitem__)
        keys = [key for key in ordered if self._is_in_range(positions[key])]
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

    def _is_in_range(self, position: Position) -> bool:
        after_start = self.start is None or (
            self.start[0] < position or (self.start[1] and self.start[0] == position)
        )
        before_end = self.end is None or (
            position < self.end[0] or (self.end[1] and self.end[0] == position)
        )
        return after_start and before_end


def _from_json(text: str, complaint: str) -> Json:
    try:
        value: Json = json.loads(text)
    except ValueError:
        raise RtdbError(400, complaint) from None
    if isinstance(value, list | dict):
        raise RtdbError(400, complaint)
    return value


def _limit(name: str, text: str) -> int:
    if not text.removeprefix("-").isdecimal():
        raise RtdbError(400, f"{name} must be an integer")
    if int(text) <= 0:
        raise RtdbError(400, f"{name} must be positive")
    return int(text)


def _start(raw: Mapping[str, Json], index: str) -> tuple[Position, bool] | None:
    return _bound(raw, index, ("sp", "sn", "sin"), MIN_NAME) if "sp" in raw else None


def _end(raw: Mapping[str, Json], index: str) -> tuple[Position, bool] | None:
    return _bound(raw, index, ("ep", "en", "ein"), MAX_NAME) if "ep" in raw else None


def _bound(
    raw: Mapping[str, Json], index: str, fields: tuple[str, str, str], any_key: str
) -> tuple[Position, bool]:
    """Return one end of the range, and whether it is included."""
    value, key, inclusive = raw.get(fields[0]), raw.get(fields[1], any_key), raw.get(fields[2])
    if index == _BY_KEY:
        value, key = None, value
    if isinstance(value, list | dict) or not isinstance(key, str):
        raise RtdbError(400, f"Invalid query: {dict(raw)}")
    return (value_rank(value), key_rank(key)), inclusive is not False
