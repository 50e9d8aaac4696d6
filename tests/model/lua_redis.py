"""Where the scripts of `app.delivery.register` run: in this process, or in a real Redis.

In this process a script is a function: what Redis holds and arguments in, answer and what Redis
holds out. The clock stands still at NOW. Time passes by taking it off every time that Redis holds,
which a script cannot tell from a clock that goes on; so it passes in a real Redis too, at will.
"""

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import redis
from lupa import lua51  # type: ignore[import-untyped, import-not-found, unused-ignore]

from app.channels import OPEN_SLOTS
from app.delivery import LEASE_SECONDS, LatestValueRegister
from app.delivery import register as register_module

Held = tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
"""All that Redis holds, sorted, so that equal is the same. Every key has fields: a slot its own,
the open slots (a sorted set) their scores, the last revision (a string) one without a name."""

Reply = Any
"""What redis-py makes of a script's answer: bytes, numbers, None and lists (here: tuples)."""

NOW = 1_800_000_000_000
LEASE = round(LEASE_SECONDS * 1000)
TICK = LEASE // 2
"""Milliseconds that pass at a time. All times are multiples of it."""

OPEN = OPEN_SLOTS
_REVISION = register_module._REVISION
_TIMES = ("until", "doubt")

AT_FIRST: Held = ((_REVISION, (("", "8000000000000000"),)),)
"""A last revision ahead of every clock, so that revisions here and in a real Redis are the same."""

SCRIPTS: Mapping[str, str] = {
    name: register_module.script(name)
    for name in ("announce", "overdue", "propose", "confirm", "extend", "release")
}


class Scripts(Protocol):
    """Something that runs the scripts of a register."""

    def run(
        self, name: str, keys: tuple[str, ...], arguments: tuple[str, ...], held: Held
    ) -> tuple[Reply, Held]:
        """Run one script; its answer, and what Redis holds then."""

    def tick(self, held: Held) -> Held:
        """Let TICK pass; what Redis holds then."""


class LuaHere:
    """Lua 5.1 in this process, with Redis' commands over a dict."""

    def __init__(self, scripts: Mapping[str, str] = SCRIPTS) -> None:
        self._lua = lua51.LuaRuntime(encoding=None, register_eval=False)
        self._held: dict[str, dict[str, str]] = {}
        self._lua.globals()[b"redis"] = self._lua.table_from({b"call": self._call})
        self._functions = {
            name: self._lua.eval(b"function(KEYS, ARGV) %s end" % text.encode())
            for name, text in scripts.items()
        }
        self._known: dict[Any, tuple[Reply, Held]] = {}

    def run(
        self, name: str, keys: tuple[str, ...], arguments: tuple[str, ...], held: Held
    ) -> tuple[Reply, Held]:
        asked = (name, keys, arguments, held)
        if asked not in self._known:
            self._held = {key: dict(fields) for key, fields in held}
            found = self._functions[name](self._array(keys), self._array(arguments))
            self._known[asked] = self._reply(found), _frozen(self._held)
        return self._known[asked]

    @staticmethod
    @functools.lru_cache(100_000)
    def tick(held: Held) -> Held:
        moved = {key: dict(fields) for key, fields in held}
        for key, fields in moved.items():
            for field in fields if key == OPEN else fields.keys() & _TIMES:
                fields[field] = str(max(NOW, int(fields[field]) - TICK))
        return _frozen(moved)

    def _array(self, texts: Sequence[str]) -> Any:
        return self._lua.table_from([text.encode() for text in texts])

    def _call(self, command: bytes, *given: Any) -> Any:
        """One Redis command from Lua; the answer as Redis gives it to Lua."""
        key, *rest = [_as_argument(argument) for argument in given] or [""]
        answer: Any
        match command:
            case b"TIME":
                answer = self._array([str(NOW // 1000), str(NOW % 1000 * 1000)])
            case b"EXPIRE":
                answer = int(key in self._held)
            case b"GET" | b"HGET":
                answer = self._field(key, *rest or [""])
            case b"HMGET":
                answer = self._lua.table_from([self._field(key, field) for field in rest])
            case b"ZRANGEBYSCORE":
                answer = self._array(self._below(key, *rest))
            case b"SET" | b"HSET" | b"ZADD":
                answer = self._put(key, _fields_put(command, rest))
            case b"HDEL" | b"ZREM":
                answer = self._take_out(key, rest)
            case _:
                raise NotImplementedError(command)
        return answer

    def _field(self, key: str, field: str) -> bytes | bool:
        found = self._held.get(key, {}).get(field)
        return False if found is None else found.encode()

    def _below(self, key: str, lowest: str, highest: str, *limit: str) -> list[str]:
        assert (lowest, limit[0], limit[1]) == ("-inf", "LIMIT", "0")
        scores = self._held.get(key, {})
        found = [member for member in scores if int(scores[member]) <= int(highest)]
        return sorted(found, key=lambda member: (int(scores[member]), member))[: int(limit[2])]

    def _put(self, key: str, fields: dict[str, str]) -> int:
        known = self._held.setdefault(key, {})
        new = len(fields.keys() - known.keys())
        known.update(fields)
        return new

    def _take_out(self, key: str, fields: Sequence[str]) -> int:
        known = self._held.get(key, {})
        gone = [known.pop(field) for field in fields if field in known]
        if not known:
            self._held.pop(key, None)
        return len(gone)

    def _reply(self, found: Any) -> Reply:
        """What a client gets for a value that a script returns."""
        if found is None or found is False:
            return None
        if lua51.lua_type(found) == "table":
            reply: list[Reply] = []
            while (element := found[len(reply) + 1]) is not None:
                reply.append(self._reply(element))
            return tuple(reply)
        return found if isinstance(found, bytes) else int(found)


class LuaInRedis:
    """The same, by a LatestValueRegister in a real and empty Redis, which keeps what it holds.

    The times that it shows are rounded to whole ticks, and so equal those of LuaHere unless the
    machine stands still for half a tick.
    """

    def __init__(self, url: str) -> None:
        register = LatestValueRegister(url)
        self._client = redis.Redis.from_url(url, decode_responses=True)
        self._scripts = {name: getattr(register, f"_{name}") for name in SCRIPTS}

    def start(self) -> None:
        """Hold what AT_FIRST says."""
        self._client.flushall()
        self._client.set(_REVISION, dict(AT_FIRST[0][1])[""])

    def run(
        self, name: str, keys: tuple[str, ...], arguments: tuple[str, ...], held: Held
    ) -> tuple[Reply, Held]:
        return _timeless(self._scripts[name](keys=keys, args=arguments)), self._dump()

    def tick(self, held: Held) -> Held:
        for key, fields in held:
            for field, _ in fields:
                if key == OPEN:
                    self._client.zincrby(key, -TICK, field)
                elif field in _TIMES:
                    self._client.hincrby(key, field, -TICK)
        return self._dump()

    def _dump(self) -> Held:
        keys: Any = self._client.keys()
        slots = [key for key in keys if key not in (OPEN, _REVISION)]
        pipeline = self._client.pipeline()
        pipeline.time()
        pipeline.get(_REVISION)
        pipeline.zrange(OPEN, 0, -1, withscores=True)
        for slot in slots:
            pipeline.hgetall(slot)
        (seconds, microseconds), revision, scores, *hashes = pipeline.execute()
        now = seconds * 1000 + microseconds // 1000
        found = {_REVISION: {"": revision}}
        if scores:
            found[OPEN] = {slot: _time(score - now) for slot, score in scores}
        for slot, fields in zip(slots, hashes, strict=True):
            times = {field: _time(int(fields[field]) - now) for field in fields.keys() & _TIMES}
            found[slot] = fields | times
        return _frozen(found)


def _frozen(held: Mapping[str, Mapping[str, str]]) -> Held:
    return tuple(sorted((key, tuple(sorted(fields.items()))) for key, fields in held.items()))


def _fields_put(command: bytes, rest: Sequence[str]) -> dict[str, str]:
    if command == b"SET":
        return {"": rest[0]}
    if command == b"ZADD":
        return {rest[1]: rest[0]}
    return dict(zip(rest[::2], rest[1::2], strict=True))


def _as_argument(value: Any) -> str:
    """A Lua value as Redis makes an argument of it."""
    return value.decode() if isinstance(value, bytes) else "%.17g" % value  # noqa: UP031


def _timeless(found: Any) -> Reply:
    if isinstance(found, list):
        return tuple(_timeless(element) for element in found)
    if isinstance(found, bytes) and re.fullmatch(rb"\d{3,5}", found):
        return b"%d" % _whole_ticks(int(found))
    return found


def _time(milliseconds_left: float) -> str:
    return str(NOW + max(0, _whole_ticks(milliseconds_left)))


def _whole_ticks(milliseconds: float) -> int:
    return round(milliseconds / TICK) * TICK
