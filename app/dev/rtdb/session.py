"""The protocol that the JavaScript SDK speaks over its websocket, without the websocket itself.

A message is `{"t": "c", "d": ...}` about the connection, or `{"t": "d", "d": ...}` about data. The
latter are a client's requests, each with a number that its response repeats, and changes that are
pushed to it. A client is notified of its own write before it gets the response.

Priorities and App Check are left out. A listener of a query gets the whole result each time.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from app.dev.rtdb.databases import Database, Databases
from app.dev.rtdb.rules import ANONYMOUS, Principal, principal_for_token
from app.dev.rtdb.tree import (
    INVALID_OBJECT,
    Json,
    Path,
    Query,
    RtdbError,
    StreamEvent,
    export,
    hash_of,
    parse_path,
    path_text,
)

Body: TypeAlias = Mapping[str, Json]

PROTOCOL = "5"
NOT_UNDERSTOOD = "This is no message of the websocket protocol."
NOT_SUPPORTED = "The development server does not support this"

_STATUSES = {401: "permission_denied", 412: "datastale", 501: "unsupported"}
_IGNORED = {"s", "appcheck", "unappeck"}
"""Statistics and App Check; the last one is the SDK's own spelling."""


@dataclass(frozen=True, eq=False)
class Listen:
    """One path that a client listens to; with a tag, one query of its value."""

    session: Session
    path: Path
    tag: int | None
    query: Query

    def notify(self, event: StreamEvent) -> None:
        """Send a change; for a query, its whole new result, which the SDK compares itself."""
        if self.tag is None:
            path = (*self.path, *parse_path(event.path))
            self.session.push("m" if event.kind == "patch" else "d", path, event.data)
        else:
            self.send_result()

    def send_result(self) -> None:
        """Send the current value."""
        data = export(self.query.select(self.session.database.tree.node(self.path)))
        self.session.push("d", self.path, data, self.tag)

    def keep_alive(self) -> None:
        """Do nothing: over a websocket this is the client's task."""

    def close(self) -> None:
        """Close the whole connection."""
        self.session.close()


class _DisconnectWrite(NamedTuple):
    """A write to be done when the client disconnects."""

    action: str
    path: Path
    value: Json


class Session:
    """One connected client.

    Args:
        databases: All databases.
        namespace: Namespace of the client's database.
        send: Sends a message to the client.
        close: Closes the connection.
    """

    def __init__(
        self,
        databases: Databases,
        namespace: str,
        send: Callable[[Json], None],
        close: Callable[[], None],
    ) -> None:
        self.principal = ANONYMOUS
        self.close = close
        self._databases = databases
        self._namespace = namespace
        self._send = send
        self._listens: dict[tuple[Path, int | None], Listen] = {}
        self._on_disconnect: list[_DisconnectWrite] = []

    @property
    def database(self) -> Database:
        """The client's database, looked up each time because a test may clear them all."""
        return self._databases.of(self._namespace)

    def greet(self, host: str) -> None:
        """Send the greeting; `host` is the address of the server, with the port."""
        now = time.time_ns() // 1_000_000
        hello: Json = {"ts": now, "v": PROTOCOL, "h": host, "s": secrets.token_urlsafe(24)}
        self._send({"t": "c", "d": {"t": "h", "d": hello}})

    def receive(self, message: Json) -> None:
        """Handle a message."""
        match message:
            case {"t": "d", "d": {"r": int(number), "a": str(action), "b": dict(body)}}:
                self._send({"t": "d", "d": {"r": number, "b": self._response(action, body)}})
            case {"t": "c", "d": {"t": "p"}}:
                self._send({"t": "c", "d": {"t": "o", "d": {}}})
            case _:
                self._send({"t": "c", "d": {"t": "e", "d": NOT_UNDERSTOOD}})

    def end(self) -> None:
        """Stop all listening, and do the writes that were left for the disconnection."""
        for listen in self._listens.values():
            self.database.listeners.discard(listen)
        self._listens.clear()
        while self._on_disconnect:
            with suppress(RtdbError):  # no client is left to get the error
                self._write(*self._on_disconnect.pop(0))

    def push(self, action: str, path: Path, data: Json, tag: int | None = None) -> None:
        """Send data at a path, unrequested."""
        body: dict[str, Json] = {"p": path_text(path), "d": data}
        if tag is not None:
            body["t"] = tag
        self._send({"t": "d", "d": {"a": action, "b": body}})

    def _response(self, action: str, body: Body) -> Json:
        try:
            return {"s": "ok", "d": self._execute(action, body)}
        except RtdbError as error:
            return {"s": _STATUSES.get(error.status, "invalid"), "d": _error_text(error)}

    def _execute(self, action: str, body: Body) -> Json:
        """Execute one request, and return the data of the response."""
        match body:
            case {"cred": str(token)} if action in ("auth", "gauth"):
                self.principal = _signed_in(token, body)
            case {"p": str(path)}:
                return self._execute_at(parse_path(path), action, body)
            case _ if action == "unauth":
                self.principal = ANONYMOUS
            case _ if action not in _IGNORED:
                raise RtdbError(501, f"{NOT_SUPPORTED}: the request {action!r}.")
        return {}

    def _execute_at(self, path: Path, action: str, body: Body) -> Json:
        match action, body:
            case "q", _:
                self._listen(path, body)
            case "n", _:
                self._unlisten(path, _tag(body))
            case "g", _:
                self.database.check_read(self.principal, path)
                return export(_query(body).select(self.database.tree.node(path)))
            case (("p" | "m"), {"d": value}):
                self._check(path, body.get("h"))
                self._write(action, path, value)
            case (("o" | "om" | "oc"), {"d": value}):
                self._set_on_disconnect(action, path, value)
            case _:
                raise RtdbError(501, f"{NOT_SUPPORTED}: the request {action!r}.")
        return {}

    def _listen(self, path: Path, body: Body) -> None:
        self.database.check_read(self.principal, path)
        listen = Listen(self, path, _tag(body), _query(body))
        self._unlisten(path, listen.tag)
        self._listens[path, listen.tag] = listen
        self.database.listeners.add(listen)
        known = body.get("h")
        if not known or known != hash_of(listen.query.select(self.database.tree.node(path))):
            listen.send_result()

    def _unlisten(self, path: Path, tag: int | None) -> None:
        listen = self._listens.pop((path, tag), None)
        if listen is not None:
            self.database.listeners.discard(listen)

    def _check(self, path: Path, expected: Json) -> None:
        """Refuse the write of a transaction that has read an outdated value."""
        if expected is not None and expected != hash_of(self.database.tree.node(path)):
            raise RtdbError(412, "The data has changed.")

    def _set_on_disconnect(self, action: str, path: Path, value: Json) -> None:
        """Add a write to be done on disconnection, or cancel those at and below a path."""
        if action == "oc":
            self._on_disconnect = [
                each for each in self._on_disconnect if each.path[: len(path)] != path
            ]
        else:
            self._on_disconnect.append(_DisconnectWrite("p" if action == "o" else "m", path, value))

    def _write(self, action: str, path: Path, value: Json) -> None:
        tree, check = self.database.tree, self.database.write_check(self.principal)
        if action == "p":
            change = tree.put(path, value, check)
        elif isinstance(value, dict):
            change = tree.patch(path, value, check)
        else:
            raise RtdbError(400, INVALID_OBJECT)
        self._databases.publish(self._namespace, change)


def _tag(body: Body) -> int | None:
    tag = body.get("t")
    return tag if isinstance(tag, int) else None


def _query(body: Body) -> Query:
    raw = body.get("q")
    return Query.from_json(raw) if isinstance(raw, dict) else Query()


def _signed_in(token: str, body: Body) -> Principal:
    """Return who signs in; an administrator may ask to act as another principal."""
    principal, other = principal_for_token(token), body.get("authvar")
    if principal.is_admin and body.get("noauth") is True:
        return ANONYMOUS
    return Principal(other) if principal.is_admin and isinstance(other, dict) else principal


def _error_text(error: RtdbError) -> str:
    if error.key in (".priority", ".value"):
        return f"{NOT_SUPPORTED}: a priority."
    return error.text if error.key is None else f"Invalid data; {error.key!r} cannot be a key."
