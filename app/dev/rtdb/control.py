"""The `/.control` endpoints: what a test in another process can ask of the development server."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

from app.dev.rtdb.databases import Databases
from app.dev.rtdb.faults import Counters, Fault, Faults, WriteLog
from app.dev.rtdb.http import HttpRequest, HttpResponse
from app.dev.rtdb.rest import NAME
from app.dev.rtdb.tree import Json, RtdbError

CLEARABLE = ("counters", "writes", "streams", "data")


class Control:
    """Answers these requests; `delayed` are the ones that a fault keeps waiting.

    GET /.control               the state: counters, listeners, faults with their hits
    POST /.control              {"faults": [...], "clear": [...]}, either may be missing. `clear`
                                names any of `counters`, `writes`, `streams`, `data` (with its
                                log and streams), and comes first; `faults` replaces all faults.
                                Answers the state.
    GET /.control/writes?ns=    {"writes": [[path, value], ...], "forgotten": n}
    """

    def __init__(
        self, databases: Databases, faults: Faults, counters: Counters, delayed: Sized
    ) -> None:
        self._databases = databases
        self._faults = faults
        self._counters = counters
        self._delayed = delayed

    def answer(self, request: HttpRequest) -> HttpResponse:
        """The answer to one control request; 400 with a reason if it makes no sense."""
        try:
            match request.method, request.raw_path:
                case "GET", "/.control/writes":
                    return HttpResponse.of(self._databases.of(request.namespace).log.as_json())
                case "POST", "/.control":
                    self._apply(request.value())
                    return HttpResponse.of(self._state())
                case "GET", "/.control":
                    return HttpResponse.of(self._state())
        except (RtdbError, ValueError) as error:
            return HttpResponse.error(400, str(error))
        return HttpResponse.error(404, "GET or POST /.control, GET /.control/writes?ns=")

    def _state(self) -> dict[str, Json]:
        return {
            "server": NAME,
            **self._counters.as_json(),
            "streams": len(self._databases.listeners()),
            "delayed": len(self._delayed),
            "namespaces": list(self._databases.by_namespace),
            "faults": self._faults.as_json(),
        }

    def _apply(self, order: Any) -> None:
        if not isinstance(order, dict) or not order.keys() <= {"faults", "clear"}:
            raise ValueError('An object with "faults" and "clear" is wanted.')
        # All of it is read before anything is done: an order that is refused changes nothing.
        clear = _read_clear(order.get("clear", []))
        faults = _read_faults(order["faults"]) if "faults" in order else None
        if "counters" in clear:
            self._counters.clear()
        if "streams" in clear or "data" in clear:
            for listener in self._databases.listeners():
                listener.close()
        if "data" in clear:
            self._databases.clear()
        if "writes" in clear:
            for database in self._databases.by_namespace.values():
                database.log = WriteLog()
        if faults is not None:
            self._faults.replace(faults)


def _read_clear(raw: Any) -> list[str]:
    if not isinstance(raw, list) or not all(each in CLEARABLE for each in raw):
        raise ValueError(f'"clear" is a list of any of: {", ".join(CLEARABLE)}.')
    return raw


def _read_faults(raw: Any) -> list[Fault]:
    if not isinstance(raw, list) or not all(isinstance(each, dict) for each in raw):
        raise ValueError('"faults" is a list of objects.')
    return [Fault.from_json(each) for each in raw]
