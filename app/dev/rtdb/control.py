"""The `/.control` endpoints, by which a test in another process steers the server."""

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
    """Handles these requests; `delayed` holds the requests that a fault delays.

    GET /.control               returns the state: counters, listeners, faults with their hits
    POST /.control              takes {"faults": [...], "clear": [...]}, either of which may be
                                missing, and returns the state. `clear` names any of `counters`,
                                `writes`, `streams`, `data` (with its log and streams), and is done
                                first; `faults` replaces all faults.
    GET /.control/writes?ns=    returns {"writes": [[path, value], ...], "forgotten": n}
    """

    def __init__(
        self, databases: Databases, faults: Faults, counters: Counters, delayed: Sized
    ) -> None:
        self._databases = databases
        self._faults = faults
        self._counters = counters
        self._delayed = delayed

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Handle one control request; an invalid one gets 400 with a reason."""
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

    def _apply(self, command: Any) -> None:
        if not isinstance(command, dict) or not command.keys() <= {"faults", "clear"}:
            raise ValueError('Expected an object with "faults" and "clear".')
        # Read everything first: an invalid command changes nothing.
        clear = _read_clear(command.get("clear", []))
        faults = _read_faults(command["faults"]) if "faults" in command else None
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
        raise ValueError(f'"clear" must be a list of any of: {", ".join(CLEARABLE)}.')
    return raw


def _read_faults(raw: Any) -> list[Fault]:
    if not isinstance(raw, list) or not all(isinstance(each, dict) for each in raw):
        raise ValueError('"faults" must be a list of objects.')
    return [Fault.from_json(each) for each in raw]
