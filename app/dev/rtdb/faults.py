"""What tests need from the server: faults on demand, counters, and a log of writes.

A fault says which requests it affects and what happens to them. Faults are tried in their order,
once per request to the database; the first that matches is applied.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from app.dev.rtdb.http import HttpRequest, HttpResponse
from app.dev.rtdb.tree import Json, Scalar

WRITE_LOG_SIZE = 100_000


@dataclass
class Fault:
    """One fault. Every condition that is set must hold; an unset one matches anything.

    Conditions: `method` (`GET`, `PUT`, `PATCH`, `POST`, `DELETE`, `STREAM`), `path` (this path or
    one below it), `namespace`, `contains` (text in the body). Of the requests that match, the first
    `skip` pass, and the fault is applied to the next `count` (None: all), each with probability
    `share`.

    Effects: the request waits until the fault is removed (`hold`), then `delay` seconds, and is
    then executed, even if the client has disconnected; the response waits another `answer_delay`
    seconds, and comes byte by byte, `trickle` seconds apart. In its place the connection is closed
    (`drop`), or a response of `status` (200), `headers` and `body` (an error in RTDB's form) is
    returned if `status` or `body` is set. With either, nothing is written unless `commit` is set:
    then only the response is lost.
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
    trickle: float = 0.0
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    drop: bool = False
    commit: bool = False
    hits: int = field(default=0, init=False)
    released: asyncio.Event = field(default_factory=asyncio.Event, init=False, repr=False)

    @property
    def executes(self) -> bool:
        return self.commit or not (self.drop or self.response)

    @property
    def response(self) -> HttpResponse | None:
        """The response in place of the database's, if there is one."""
        if self.body is None:
            error = HttpResponse.error(self.status) if self.status else None
            return error and replace(error, headers=self.headers)
        return HttpResponse(
            self.status or 200, self.body.encode(), content_type="text/html", headers=self.headers
        )

    @property
    def is_exhausted(self) -> bool:
        return self.count is not None and self.hits >= self.count

    def matches(self, request: HttpRequest) -> bool:
        """Return whether the conditions hold, without regard to skip, count and share."""
        below = None if self.path is None else self.path.rstrip("/") + "/"
        return (
            self.method in (None, request.method)
            and (below is None or (request.location + "/").startswith(below))
            and self.namespace in (None, request.namespace)
            and (self.contains is None or self.contains.encode() in request.body)
        )

    def as_json(self) -> dict[str, Json]:
        """Return the fault in the form of the control endpoint, with its `hits` so far."""
        return {name: getattr(self, name) for name in (*_FIELD_TYPES, "hits")}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Fault:
        """Build a fault from the control endpoint's JSON; `hits` is ignored.

        Raises:
            ValueError: A field does not exist or has the wrong type; the text names it.
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
        if not all(isinstance(text, str) for text in (given.get("headers") or {}).values()):
            raise ValueError("A fault's 'headers' must be texts.")
        return cls(**{name: value for name, value in given.items() if value is not None})


_FIELD_TYPES: dict[str, Any] = {
    **dict.fromkeys(("method", "path", "namespace", "contains", "body"), str),
    **dict.fromkeys(("skip", "count", "status"), int),
    **dict.fromkeys(("share", "delay", "answer_delay", "trickle"), int | float),
    "headers": dict,
    **dict.fromkeys(("hold", "drop", "commit"), bool),
}


class Faults:
    """The faults that are set; none unless a test sets some."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        # Seeded, so that the choices of `share` are repeatable.
        self._random = random.Random(0)  # noqa: S311 - chance, not secrets

    def replace(self, faults: Iterable[Fault]) -> None:
        """Set these and no others; requests that the old ones hold go on."""
        for old in self._faults:
            old.released.set()
        self._faults = list(faults)

    def consult(self, request: HttpRequest) -> Fault | None:
        """Return the fault that applies to this request, if any, and count the hit."""
        for fault in self._faults:
            if fault.is_exhausted or not fault.matches(request):
                continue
            if fault.skip > 0:
                fault.skip -= 1
            elif fault.share >= 1 or self._random.random() < fault.share:
                fault.hits += 1
                return fault
        return None

    def as_json(self) -> list[Json]:
        return [fault.as_json() for fault in self._faults]


@dataclass
class Counters:
    """Counts since the start, or since they were cleared.

    `requests` by method (`STREAM` for listeners), `statuses` by HTTP status of the response,
    connections `dropped` by faults, `commits` (an atomic multi-path write is one).
    """

    requests: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    dropped: int = 0
    commits: int = 0

    def clear(self) -> None:
        self.requests.clear()
        self.statuses.clear()
        self.dropped = self.commits = 0

    def as_json(self) -> dict[str, Json]:
        """Return the counters in the form of the control endpoint."""
        return {
            "requests": {"total": self.requests.total(), **self.requests},
            "statuses": {str(status): count for status, count in self.statuses.items()},
            "dropped": self.dropped,
            "commits": self.commits,
        }


class WriteLog:
    """The leaf writes of one namespace in the order of their commits; the oldest are forgotten."""

    def __init__(self) -> None:
        self._writes: deque[tuple[str, Scalar | None]] = deque(maxlen=WRITE_LOG_SIZE)
        self._total = 0

    def extend(self, writes: Iterable[tuple[str, Scalar | None]]) -> None:
        """Add the leaves of one commit: path and value, None for a removed one."""
        for write in writes:
            self._writes.append(write)
            self._total += 1

    def as_json(self) -> dict[str, Json]:
        """Return `writes` as [path, value] in order, and the number of `forgotten` earlier ones."""
        return {
            "writes": [[path, value] for path, value in self._writes],
            "forgotten": self._total - len(self._writes),
        }
