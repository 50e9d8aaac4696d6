"""What tests need of the development server: faults on demand, counters, and a log of writes.

A fault says which requests it meets and what becomes of them. Faults are asked in their order,
once per request to the database; the first that matches is the one that happens.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from app.dev.rtdb_tree import Json, Scalar

WRITE_LOG_SIZE = 100_000


@dataclass(frozen=True)
class RequestFacts:
    """What a fault can be chosen by: `method` is `STREAM` for a listener; `path` has no `.json`."""

    method: str
    path: str
    namespace: str
    body: bytes


@dataclass
class Fault:
    """One kind of trouble. Every condition that is set must hold; unset ones match anything.

    Conditions: `method` (`GET`, `PUT`, `PATCH`, `POST`, `DELETE`, `STREAM`), `path` (this location
    or one below it), `namespace`, `contains` (text in the body), `when` (any predicate; only for
    programs, not over HTTP). Of the requests that match, the first `skip` pass, then `count` meet
    the fault (None: all), each with probability `share`.

    What happens: the request waits until the fault is taken away (`hold`) and `delay` seconds, and
    is then carried out, even if the client has gone meanwhile; the answer waits another
    `answer_delay` seconds. In its place the connection is closed (`drop`), or `status` is answered.
    With either, nothing is written unless `commit` is set: then only the answer is lost.
    """

    method: str | None = None
    path: str | None = None
    namespace: str | None = None
    contains: str | None = None
    skip: int = 0
    count: int | None = None
    share: float = 1.0
    hold: bool = False
    delay: float = 0.0
    answer_delay: float = 0.0
    status: int | None = None
    drop: bool = False
    commit: bool = False
    when: Callable[[RequestFacts], bool] | None = None
    hits: int = field(default=0, init=False)
    released: asyncio.Event = field(default_factory=asyncio.Event, init=False, repr=False)

    @property
    def carries_out(self) -> bool:
        """Whether the request takes effect."""
        return self.commit or not (self.drop or self.status)

    @property
    def used_up(self) -> bool:
        """Whether it has happened `count` times."""
        return self.count is not None and self.hits >= self.count

    def matches(self, request: RequestFacts) -> bool:
        """Whether the conditions hold; says nothing about skip, count and share."""
        below = None if self.path is None else self.path.rstrip("/") + "/"
        return (
            self.method in (None, request.method)
            and (below is None or (request.path + "/").startswith(below))
            and self.namespace in (None, request.namespace)
            and (self.contains is None or self.contains.encode() in request.body)
            and (self.when is None or self.when(request))
        )

    def as_json(self) -> dict[str, Json]:
        """The fault as the control endpoint shows and takes it, with its `hits` so far."""
        return {name: getattr(self, name) for name in (*_FIELD_TYPES, "hits")}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Fault:
        """Build a fault from the control endpoint's JSON; `hits` is ignored.

        Raises ValueError, naming the field, for one that does not exist or has another type.
        """
        given = {name: value for name, value in raw.items() if name != "hits"}
        for name, value in given.items():
            if name not in _FIELD_TYPES:
                known = ", ".join(_FIELD_TYPES)
                raise ValueError(f"A fault has no field {name!r}; it has: {known}.")
            wanted = _FIELD_TYPES[name]
            if value is not None and (
                not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool)
            ):
                raise ValueError(f"A fault's {name!r} cannot be {value!r}.")
        return cls(**{name: value for name, value in given.items() if value is not None})


_FIELD_TYPES: dict[str, Any] = {
    **dict.fromkeys(("method", "path", "namespace", "contains"), str),
    **dict.fromkeys(("skip", "count", "status"), int),
    **dict.fromkeys(("share", "delay", "answer_delay"), int | float),
    **dict.fromkeys(("hold", "drop", "commit"), bool),
}


class Faults:
    """The faults that are set. Empty unless a test asks for trouble."""

    def __init__(self, seed: int = 0) -> None:
        """`seed` makes the choices of `share` repeatable."""
        self._faults: list[Fault] = []
        self._random = random.Random(seed)  # noqa: S311 - chance, not secrets

    def __bool__(self) -> bool:
        return bool(self._faults)

    def add(self, fault: Fault) -> Fault:
        """Set one more; returns it, so that its `hits` can be read later."""
        self._faults.append(fault)
        return fault

    def replace(self, faults: Iterable[Fault]) -> None:
        """Set these and no others; requests held by the old ones go on."""
        for old in self._faults:
            old.released.set()
        self._faults = list(faults)

    def consult(self, request: RequestFacts) -> Fault | None:
        """The fault that this request meets, counted as a hit; None for none."""
        for fault in self._faults:
            if fault.used_up or not fault.matches(request):
                continue
            if fault.skip > 0:
                fault.skip -= 1
            elif fault.share >= 1 or self._random.random() < fault.share:
                fault.hits += 1
                return fault
        return None

    def as_json(self) -> list[Json]:
        """All of them in their order, with their hits."""
        return [fault.as_json() for fault in self._faults]


@dataclass
class Counters:
    """How many requests to the database there were since the start, or the last clearing.

    `requests` by method (`STREAM` for listeners), `statuses` by answered HTTP status, `dropped`
    connections by faults, `commits` that were carried out (an atomic multi-path write is one).
    """

    requests: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    dropped: int = 0
    commits: int = 0

    def as_json(self) -> dict[str, Json]:
        """The counters as the control endpoint shows them."""
        return {
            "requests": {"total": self.requests.total(), **self.requests},
            "statuses": {str(status): count for status, count in self.statuses.items()},
            "dropped": self.dropped,
            "commits": self.commits,
        }


class WriteLog:
    """The leaf writes of one namespace in the order of their commits; the oldest fall out."""

    def __init__(self, size: int = WRITE_LOG_SIZE) -> None:
        self._writes: deque[tuple[str, Scalar | None]] = deque(maxlen=size)
        self._total = 0

    def extend(self, writes: Iterable[tuple[str, Scalar | None]]) -> None:
        """Note the leaves of one commit: path and value, None for a removed one."""
        for write in writes:
            self._writes.append(write)
            self._total += 1

    def as_json(self) -> dict[str, Json]:
        """`writes` as [path, value] in order, and `forgotten`: how many earlier ones fell out."""
        return {
            "writes": [[path, value] for path, value in self._writes],
            "forgotten": self._total - len(self._writes),
        }


@dataclass(frozen=True)
class ControlOrder:
    """What a test asks for at `/.control`: see `Control` in app/dev/rtdb_server.py."""

    CLEARABLE: ClassVar = ("counters", "writes", "streams", "data")

    clear: tuple[str, ...]
    faults: tuple[Fault, ...] | None

    @classmethod
    def from_json(cls, raw: Any) -> ControlOrder:
        """Read an order. Raises ValueError, saying what is wrong, before anything is done."""
        if not isinstance(raw, dict) or not raw.keys() <= {"faults", "clear"}:
            raise ValueError('An object with "faults" and "clear" is wanted.')
        clear = raw.get("clear", [])
        if not isinstance(clear, list) or not all(each in cls.CLEARABLE for each in clear):
            raise ValueError(f'"clear" is a list of any of: {", ".join(cls.CLEARABLE)}.')
        if "faults" not in raw:
            return cls(tuple(clear), None)
        faults = raw["faults"]
        if not isinstance(faults, list) or not all(isinstance(each, dict) for each in faults):
            raise ValueError('"faults" is a list of objects.')
        return cls(tuple(clear), tuple(Fault.from_json(each) for each in faults))
