"""What the JavaScript SDK says over its websocket, and what it is answered. No websocket in here.

A message is `{"t": "c", "d": ...}` about the connection, or `{"t": "d", "d": ...}` about data. Of
the second kind are a client's requests, each with a number and answered under it, and what it is
told unasked of the places it listens to. It hears of its own writes before they are answered.

What is left out is priorities and App Check; a listener of a query gets its whole result each time.
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
"""Statistics and App Check; the last is the SDK's own spelling."""


@dataclass(frozen=True, eq=False)
class Listen:
    """One place that a client listens to; with a tag, one query of what is there."""

    session: Session
    at: Path
    tag: int | None
    query: Query

    def tell(self, event: StreamEvent) -> None:
        """Pass a change on; of a query its whole new result, which the SDK compares itself."""
        if self.tag is None:
            path = (*self.at, *parse_path(event.path))
            self.session.push("m" if event.kind == "patch" else "d", path, event.data)
        else:
            self.send_result()

    def send_result(self) -> None:
        """Tell what is there now."""
        data = export(self.query.select(self.session.database.tree.node(self.at)))
        self.session.push("d", self.at, data, self.tag)

    def keep_alive(self) -> None:
        """Nothing to do: over a websocket the client does it."""

    def close(self) -> None:
        """End the connection, with all that it listens to."""
        self.session.close()


class _DisconnectWrite(NamedTuple):
    """A write that is left for the end of the connection."""

    action: str
    path: Path
    value: Json


class Session:
    """One connected client.

    Args:
        databases: all there are.
        namespace: whose database it uses.
        send: takes what the client is to be told.
        close: ends the connection.
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
        """The client's database, asked for anew each time: a test may clear all of them."""
        return self._databases.of(self._namespace)

    def greet(self, host: str) -> None:
        """Say hello; `host` is where the client finds us, with the port."""
        now = time.time_ns() // 1_000_000
        hello: Json = {"ts": now, "v": PROTOCOL, "h": host, "s": secrets.token_urlsafe(24)}
        self._send({"t": "c", "d": {"t": "h", "d": hello}})

    def receive(self, message: Json) -> None:
        """Do what a message asks for."""
        match message:
            case {"t": "d", "d": {"r": int(number), "a": str(action), "b": dict(body)}}:
                answer = self._answer(action, body)
                self._send({"t": "d", "d": {"r": number, "b": answer}})
            case {"t": "c", "d": {"t": "p"}}:
                self._send({"t": "c", "d": {"t": "o", "d": {}}})
            case _:
                self._send({"t": "c", "d": {"t": "e", "d": NOT_UNDERSTOOD}})

    def end(self) -> None:
        """The connection is gone: listen no more, and carry out what was left for this moment."""
        for listen in self._listens.values():
            self.database.listeners.discard(listen)
        self._listens.clear()
        while self._on_disconnect:
            with suppress(RtdbError):  # nobody is there to be told
                self._write(*self._on_disconnect.pop(0))

    def push(self, action: str, path: Path, data: Json, tag: int | None = None) -> None:
        """Tell the client, unasked, of data at a path."""
        body: dict[str, Json] = {"p": path_text(path), "d": data}
        if tag is not None:
            body["t"] = tag
        self._send({"t": "d", "d": {"a": action, "b": body}})

    def _answer(self, action: str, body: Body) -> Json:
        try:
            return {"s": "ok", "d": self._execute(action, body)}
        except RtdbError as error:
            return {"s": _STATUSES.get(error.status, "invalid"), "d": _error_text(error)}

    def _execute(self, action: str, body: Body) -> Json:
        """Do one request; the data of the answer."""
        match body:
            case {"cred": str(token)} if action in ("auth", "gauth"):
                self.principal = _signed_in(token, body)
            case {"p": str(place)}:
                return self._execute_at(parse_path(place), action, body)
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
        """Refuse the write of a transaction that has read something else than what is there now."""
        if expected is not None and expected != hash_of(self.database.tree.node(path)):
            raise RtdbError(412, "The data has changed.")

    def _set_on_disconnect(self, action: str, path: Path, value: Json) -> None:
        """Note a write for the end of the connection, or drop those at a path and below it."""
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
    """Who signs in; an administrator may ask to be taken for somebody else."""
    principal, other = principal_for_token(token), body.get("authvar")
    if principal.is_admin and body.get("noauth") is True:
        return ANONYMOUS
    return Principal(other) if principal.is_admin and isinstance(other, dict) else principal


def _error_text(error: RtdbError) -> str:
    if error.key in (".priority", ".value"):
        return f"{NOT_SUPPORTED}: a priority."
    return error.text if error.key is None else f"Invalid data; {error.key!r} cannot be a key."
