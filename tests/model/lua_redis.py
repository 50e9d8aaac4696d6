"""Where the scripts of `app.delivery.register` run: in this process, or in a real Redis.

In this process a script is a function from Redis's data and arguments to an answer and Redis's new
data. The clock stands still at NOW. Time passes by taking it off every time in the data, which a
script cannot tell from a clock that goes on. So it can be made to pass in a real Redis, too.
"""

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import redis
from lupa import lua51  # type: ignore[import-untyped, import-not-found, unused-ignore]

from app.channels import RedisNames
from app.delivery import LEASE_SECONDS
from app.delivery.register import SCRIPTS, script

RedisData = tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
"""All keys of Redis, sorted, so that equal data compare equal. Every key has fields: a slot its
own, the open slots (a sorted set) their scores, the last revision (a string) one without a name."""

Reply = Any
"""What redis-py makes of a script's answer: bytes, numbers, None and lists (here: tuples)."""

NAMES = RedisNames("")
NOW = 1_800_000_000_000
LEASE = round(LEASE_SECONDS * 1000)
TICK = LEASE // 2
"""Milliseconds that pass at a time. All times are multiples of it."""

_TIMES = re.compile(r"(refused_|.* )?until|doubt")
"""Fields of slots and refusals that are times."""

INITIAL_DATA: RedisData = ((NAMES.revision, (("", "8000000000000000"),)),)
"""A last revision ahead of every clock, so that revisions here and in a real Redis are the same."""

SCRIPT_TEXTS = {name: script(name) for name in SCRIPTS}


class Scripts(Protocol):
    """Something that runs the scripts of a register."""

    def run(
        self, name: str, keys: tuple[str, ...], arguments: tuple[str, ...], data: RedisData
    ) -> tuple[Reply, RedisData]:
        """Run one script. Return its answer, and Redis's data after it."""

    def tick(self, data: RedisData) -> RedisData:
        """Let TICK pass. Return Redis's data after it."""


class LocalLua:
    """Lua 5.1 in this process, with Redis's commands on a dict."""

    def __init__(self, scripts: Mapping[str, str] = SCRIPT_TEXTS) -> None:
        self._lua = lua51.LuaRuntime(encoding=None, register_eval=False)
        self._data: dict[str, dict[str, str]] = {}
        self._lua.globals()[b"redis"] = self._lua.table_from({b"call": self._call})
        self._functions = {
            name: self._lua.eval(b"function(KEYS, ARGV) %s end" % text.encode())
            for name, text in scripts.items()
        }
        self._known: dict[Any, tuple[Reply, RedisData]] = {}

    def run(
        self, name: str, keys: tuple[str, ...], arguments: tuple[str, ...], data: RedisData
    ) -> tuple[Reply, RedisData]:
        call = (name, keys, arguments, data)
        if call not in self._known:
            self._data = {key: dict(fields) for key, fields in data}
            answer = self._functions[name](self._array(keys), self._array(arguments))
            self._known[call] = self._reply(answer), _frozen(self._data)
        return self._known[call]

    @staticmethod
    @functools.lru_cache(100_000)
    def tick(data: RedisData) -> RedisData:
        moved = {key: dict(fields) for key, fields in data}
        for key, fields in moved.items():
            for field in fields if key == NAMES.open_slots else _times_in(fields):
                fields[field] = str(max(NOW, int(fields[field]) - TICK))
        return _frozen(moved)

    def _array(self, texts: Sequence[str]) -> Any:
        return self._lua.table_from([text.encode() for text in texts])

    def _call(self, command: bytes, *given: Any) -> Any:
        """Run a Redis command. Return its answer as Redis gives it to Lua."""
        key, *rest = [_as_argument(argument) for argument in given] or [""]
        answer: Any
        match command:
            case b"TIME":
                answer = self._array([str(NOW // 1000), str(NOW % 1000 * 1000)])
            case b"EXPIRE":
                answer = int(key in self._data)
            case b"GET" | b"HGET":
                answer = self._field(key, *rest or [""])
            case b"HMGET":
                answer = self._lua.table_from([self._field(key, field) for field in rest])
            case b"ZRANGEBYSCORE":
                answer = self._array(self._members_up_to(key, *rest))
            case b"SET" | b"HSET" | b"ZADD":
                answer = self._put(key, _fields_to_put(command, rest))
            case b"HINCRBY":
                answer = int(self._data.get(key, {}).get(rest[0], "0")) + int(rest[1])
                self._put(key, {rest[0]: str(answer)})
            case b"HDEL" | b"ZREM":
                answer = self._delete(key, rest)
            case _:
                raise NotImplementedError(command)
        return answer

    def _field(self, key: str, field: str) -> bytes | bool:
        value = self._data.get(key, {}).get(field)
        return False if value is None else value.encode()

    def _members_up_to(self, key: str, lowest: str, highest: str, *limit: str) -> list[str]:
        assert (lowest, limit[0], limit[1]) == ("-inf", "LIMIT", "0")
        scores = self._data.get(key, {})
        members = [member for member in scores if int(scores[member]) <= int(highest)]
        return sorted(members, key=lambda member: (int(scores[member]), member))[: int(limit[2])]

    def _put(self, key: str, fields: dict[str, str]) -> int:
        known = self._data.setdefault(key, {})
        new = len(fields.keys() - known.keys())
        known.update(fields)
        return new

    def _delete(self, key: str, fields: Sequence[str]) -> int:
        known = self._data.get(key, {})
        deleted = [known.pop(field) for field in fields if field in known]
        if not known:
            self._data.pop(key, None)
        return len(deleted)

    def _reply(self, answer: Any) -> Reply:
        """Return what a client gets for the value that a script returns."""
        if answer is None or answer is False:
            return None
        if lua51.lua_type(answer) == "table":
            reply: list[Reply] = []
            while (element := answer[len(reply) + 1]) is not None:
                reply.append(self._reply(element))
            return tuple(reply)
        return answer if isinstance(answer, bytes) else int(answer)


class RedisLua:
    """The scripts in a real and empty Redis, which has the data itself.

    Its times are rounded to whole ticks, and so equal those of LocalLua unless the machine stands
    still for half a tick.
    """

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(url, decode_responses=True)
        scripts = redis.Redis.from_url(url)
        self._scripts = {name: scripts.register_script(text) for name, text in SCRIPT_TEXTS.items()}

    def start(self) -> None:
        """Begin with INITIAL_DATA."""
        self._client.flushall()
        self._client.set(NAMES.revision, dict(INITIAL_DATA[0][1])[""])

    def run(
        self, name: str, keys: tuple[str, ...], arguments: tuple[str, ...], data: RedisData
    ) -> tuple[Reply, RedisData]:
        reply: Any = self._scripts[name](keys=keys, args=arguments)
        return _rounded(reply), self._dump()

    def tick(self, data: RedisData) -> RedisData:
        for key, fields in data:
            for field, _ in fields:
                if key == NAMES.open_slots:
                    self._client.zincrby(key, -TICK, field)
                elif _TIMES.fullmatch(field):
                    self._client.hincrby(key, field, -TICK)
        return self._dump()

    def _dump(self) -> RedisData:
        keys: Any = self._client.keys()
        slots = [key for key in keys if key not in (NAMES.open_slots, NAMES.revision)]
        pipeline = self._client.pipeline()
        pipeline.time()
        pipeline.get(NAMES.revision)
        pipeline.zrange(NAMES.open_slots, 0, -1, withscores=True)
        for slot in slots:
            pipeline.hgetall(slot)
        (seconds, microseconds), revision, scores, *hashes = pipeline.execute()
        now = seconds * 1000 + microseconds // 1000
        data = {NAMES.revision: {"": revision}}
        if scores:
            data[NAMES.open_slots] = {slot: _time(score - now) for slot, score in scores}
        for slot, fields in zip(slots, hashes, strict=True):
            times = {field: _time(int(fields[field]) - now) for field in _times_in(fields)}
            data[slot] = fields | times
        return _frozen(data)


def _frozen(data: Mapping[str, Mapping[str, str]]) -> RedisData:
    return tuple(sorted((key, tuple(sorted(fields.items()))) for key, fields in data.items()))


def _times_in(fields: Iterable[str]) -> list[str]:
    return [field for field in fields if _TIMES.fullmatch(field)]


def _fields_to_put(command: bytes, rest: Sequence[str]) -> dict[str, str]:
    if command == b"SET":
        return {"": rest[0]}
    if command == b"ZADD":
        return {rest[1]: rest[0]}
    return dict(zip(rest[::2], rest[1::2], strict=True))


def _as_argument(value: Any) -> str:
    """Return a Lua value as Redis makes an argument of it."""
    return value.decode() if isinstance(value, bytes) else "%.17g" % value  # noqa: UP031


def _rounded(reply: Any) -> Reply:
    """Return a reply with its durations rounded to whole ticks."""
    if isinstance(reply, list):
        return tuple(_rounded(element) for element in reply)
    if isinstance(reply, bytes) and re.fullmatch(rb"\d{3,5}", reply):
        return b"%d" % _whole_ticks(int(reply))
    return reply


def _time(milliseconds_left: float) -> str:
    return str(NOW + max(0, _whole_ticks(milliseconds_left)))


def _whole_ticks(milliseconds: float) -> int:
    return round(milliseconds / TICK) * TICK
