"""An RTDB-compatible development server: the REST and streaming API of Firebase, on loopback.

It is not Firebase: no rules, no sign-in (credentials are accepted unread), no queries, no
priorities, no websocket. What it does not know it refuses with 501 instead of ignoring it.

    python -m app.dev.rtdb_server --host 127.0.0.1 --port 0 --port-file PATH --data-file PATH

`/.control` and `/.control/writes` are for tests; see `Control` below and app/dev/rtdb_faults.py.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path as FilePath
from typing import cast
from urllib.parse import parse_qs, unquote

from tornado.http1connection import HTTP1Connection
from tornado.httpserver import HTTPServer
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.ioloop import PeriodicCallback
from tornado.iostream import StreamBufferFullError
from tornado.netutil import bind_sockets

from app.dev.rtdb_faults import (
    ControlOrder,
    Counters,
    Fault,
    Faults,
    RequestFacts,
    WriteLog,
)
from app.dev.rtdb_tree import (
    INVALID_JSON,
    INVALID_OBJECT,
    INVALID_PATH,
    Change,
    Json,
    Path,
    RtdbError,
    RtdbTree,
    event_for,
    export,
    leaf_writes,
    parse_path,
)

NAME = "RTDB-compatible development server, not Firebase"
SUPPORTS = (
    "GET, PUT, PATCH (multi-path, atomic), POST, DELETE, ns=, print=silent, print=pretty, "
    "shallow=true, ETag with if-match and if-none-match, SSE streaming, server values, "
    "key rules and error bodies"
)
DEFAULT_NAMESPACE = "profit-bridge"
KEEP_ALIVE_SECONDS = 30.0
MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_UNREAD_STREAM_BYTES = 64 * 1024 * 1024
SAVE_SECONDS = 1.0

NO_DATA = "Error: No data supplied."
TOO_BIG = "Data to write exceeds the maximum size that can be modified with a single request."
NO_JSON_SUFFIX = "append .json to your request URI to use the REST API."

_QUERIES = {"orderBy", "startAt", "startAfter", "endAt", "endBefore", "equalTo"}
_UNSUPPORTED = _QUERIES | {"limitToFirst", "limitToLast", "format", "callback"}


@dataclass(frozen=True)
class Answer:
    """One HTTP answer. `body` is sent as it is; None sends none."""

    status: int
    body: bytes | None
    etag: str | None = None
    content_type: str = "application/json; charset=utf-8"

    @classmethod
    def of(cls, value: Json, status: int = 200, etag: str | None = None) -> Answer:
        """An answer with a JSON body."""
        return cls(status, _dumps(value), etag)

    @classmethod
    def error(cls, status: int, text: str) -> Answer:
        """An error as RTDB words it."""
        return cls.of({"error": text}, status)

    @classmethod
    def text(cls, status: int, text: str) -> Answer:
        """A line of plain text."""
        return cls(status, text.encode() + b"\n", content_type="text/plain; charset=utf-8")


class Request(HTTPMessageDelegate):
    """One request while it is read, and the way to answer it."""

    def __init__(self, connection: HTTP1Connection, handle: Callable[[Request], None]) -> None:
        self.connection = connection
        self._handle = handle
        self._body = bytearray()
        self.too_big = False

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> None:
        """Take the request line apart. A websocket would branch off here."""
        line = cast(RequestStartLine, start_line)
        self.headers = headers
        self.raw_path, _, query = line.path.partition("?")
        self.parameters = {
            name: values[-1] for name, values in parse_qs(query, keep_blank_values=True).items()
        }
        self.namespace = self.parameters.get("ns") or DEFAULT_NAMESPACE
        streams = "text/event-stream" in headers.get("Accept", "")
        self.method = "STREAM" if line.method == "GET" and streams else line.method

    def data_received(self, chunk: bytes) -> None:
        """Collect the body, and let go of one that is too big."""
        self.too_big = self.too_big or len(self._body) + len(chunk) > MAX_BODY_BYTES
        if self.too_big:
            self._body.clear()
        else:
            self._body += chunk

    def finish(self) -> None:
        """The request is complete."""
        self._handle(self)

    def on_connection_close(self) -> None:
        """The client left before its request was complete: nothing to do."""

    @property
    def body(self) -> bytes:
        """The whole body."""
        return bytes(self._body)

    @property
    def facts(self) -> RequestFacts:
        """What faults are chosen by."""
        path = "/" + unquote(self.raw_path).removesuffix(".json").strip("/")
        return RequestFacts(self.method, path, self.namespace, self.body)

    def path(self) -> Path:
        """The location in the database. Raises RtdbError 400 if it cannot be one."""
        segments = self.raw_path.removesuffix(".json").split("/")
        try:
            keys = [unquote(segment, errors="strict") for segment in segments]
        except UnicodeDecodeError:
            raise RtdbError(400, INVALID_PATH) from None
        if any("/" in key for key in keys):  # an escaped slash is no separator, and no key either
            raise RtdbError(400, INVALID_PATH)
        return parse_path("/".join(keys))

    def value(self) -> Json:
        """The JSON of the body. Raises RtdbError 400 if there is none."""
        if self.too_big:
            raise RtdbError(400, TOO_BIG)
        if not self._body.strip():
            raise RtdbError(400, NO_DATA)
        try:  # NaN and Infinity pass here, and are refused where numbers are
            return cast(Json, json.loads(self._body.decode()))
        except (ValueError, RecursionError):
            raise RtdbError(400, INVALID_JSON) from None

    def respond(self, answer: Answer) -> None:
        """Send the answer, if the client is still there."""
        if self.connection.stream.closed():
            return
        headers = HTTPHeaders({"Cache-Control": "no-cache"})
        body = None if self.method == "HEAD" else answer.body
        if body is not None:
            headers["Content-Type"] = answer.content_type
            headers["Content-Length"] = str(len(body))
        if answer.etag is not None:
            headers["ETag"] = answer.etag
        self.connection.write_headers(_start_line(answer.status), headers, body)
        self.connection.finish()

    def drop(self) -> None:
        """Close the connection without an answer."""
        self.connection.close()


class EventStream:
    """One open listener."""

    def __init__(self, connection: HTTP1Connection, at: Path) -> None:
        self.at = at
        self._connection = connection
        # A listener that stops reading is cut off, like a real one; else it would take our memory.
        connection.stream.max_write_buffer_size = MAX_UNREAD_STREAM_BYTES
        connection.stream.set_nodelay(True)
        headers = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
        connection.write_headers(_start_line(200), HTTPHeaders(headers))

    def send(self, event: str, data: Json) -> None:
        """Write one event; data is sent on one line."""
        if self._connection.stream.closed():
            return
        try:
            self._connection.write(b"event: %b\ndata: %b\n\n" % (event.encode(), _dumps(data)))
        except StreamBufferFullError:
            self.close()

    def close(self) -> None:
        """End the stream by closing its connection."""
        self._connection.close()


@dataclass
class Database:
    """One namespace."""

    tree: RtdbTree = field(default_factory=RtdbTree)
    streams: set[EventStream] = field(default_factory=set)
    log: WriteLog = field(default_factory=WriteLog)


class RtdbServer(HTTPServerConnectionDelegate):
    """The server. `start` and `stop` it in a running event loop; one loop, no threads.

    `faults` and `counters` are for tests in the same process; a test with the server in a process
    of its own uses `/.control`.
    """

    def __init__(
        self, keep_alive: float = KEEP_ALIVE_SECONDS, data_file: FilePath | None = None
    ) -> None:
        """`keep_alive` is in seconds. `data_file` is read at the start and kept up to date.

        The file is written at most once a second and when the server stops, never in part.
        """
        self.faults = Faults()
        self.counters = Counters()
        self._databases: dict[str, Database] = {}
        self._delayed: set[asyncio.Task[None]] = set()
        self._control = Control(self)
        self._keep_alive = keep_alive
        self._data_file = data_file
        self._unsaved = False

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen, and return the port; port 0 takes a free one.

        Raises OSError if the port is taken, ValueError if the data file cannot be read as data.
        """
        self._load()
        sockets = bind_sockets(port, host, backlog=1024)
        # The limit here only guards memory: up to it a too big body is read, and refused in words.
        self._http = HTTPServer(self, max_body_size=4 * MAX_BODY_BYTES)
        self._http.add_sockets(sockets)
        self._timers = [
            PeriodicCallback(self._send_keep_alives, self._keep_alive * 1000),
            PeriodicCallback(self._save, SAVE_SECONDS * 1000),
        ]
        for timer in self._timers:
            timer.start()
        return cast(int, sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close everything at once: nobody waits for open streams or delayed requests."""
        for timer in self._timers:
            timer.stop()
        self._http.stop()
        for task in self._delayed:
            task.cancel()
        await self._http.close_all_connections()
        self._save()

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        """Tornado's entrance: one call per request."""
        return Request(cast(HTTP1Connection, request_conn), self._handle)

    def database(self, namespace: str) -> Database:
        """The database of a namespace; new ones are empty."""
        return self._databases.setdefault(namespace, Database())

    def close_streams(self) -> None:
        """Cut all listeners off."""
        for database in self._databases.values():
            for stream in list(database.streams):
                stream.close()

    def state(self) -> dict[str, Json]:
        """Counters, faults and what is open now, as `/.control` shows them."""
        return {
            "server": NAME,
            **self.counters.as_json(),
            "streams": sum(len(each.streams) for each in self._databases.values()),
            "delayed": len(self._delayed),
            "namespaces": list(self._databases),
            "faults": self.faults.as_json(),
        }

    def obey(self, order: ControlOrder) -> None:
        """Do what a test asks for: clear what it names, then set its faults."""
        if "counters" in order.clear:
            self.counters = Counters()
        if "streams" in order.clear or "data" in order.clear:
            self.close_streams()
        if "data" in order.clear:
            self._databases.clear()
            self._unsaved = True
        if "writes" in order.clear:
            for database in self._databases.values():
                database.log = WriteLog()
        if order.faults is not None:
            self.faults.replace(order.faults)

    def _handle(self, request: Request) -> None:
        if request.raw_path.startswith("/.control"):
            request.respond(self._control.answer(request))
            return
        self.counters.requests[request.method] += 1
        fault = self.faults.consult(request.facts) if self.faults else None
        if fault is not None:
            task = asyncio.get_running_loop().create_task(self._meet(request, fault))
            self._delayed.add(task)
            task.add_done_callback(self._delayed.discard)
            return
        answer = self._carry_out(request)
        if answer is not None:
            self._respond(request, answer)

    async def _meet(self, request: Request, fault: Fault) -> None:
        if fault.hold:
            await fault.released.wait()
        await asyncio.sleep(fault.delay)
        answer = self._carry_out(request) if fault.carries_out else None
        await asyncio.sleep(fault.answer_delay)
        if fault.drop:
            self.counters.dropped += 1
            request.drop()
        elif fault.status:
            self._respond(request, Answer.error(fault.status, _reason(fault.status)))
        elif answer is not None:
            self._respond(request, answer)

    def _respond(self, request: Request, answer: Answer) -> None:
        self.counters.statuses[answer.status] += 1
        request.respond(answer)

    def _carry_out(self, request: Request) -> Answer | None:
        """Do what is asked. None if the request has become a stream."""
        try:
            return self._answer(request)
        except RtdbError as error:
            text = error.text
            if error.key is not None:
                text = text.format(position=_key_position(request.body, error.key))
            return Answer.error(error.status, text)

    def _answer(self, request: Request) -> Answer | None:
        if request.raw_path == "/":
            return Answer.text(200, f"{NAME}. It supports: {SUPPORTS}.")
        if not request.raw_path.endswith(".json"):
            return Answer.text(404, NO_JSON_SUFFIX)
        unsupported = _UNSUPPORTED.intersection(request.parameters)
        if unsupported:
            raise RtdbError(501, f"{NAME}: {', '.join(sorted(unsupported))} not supported.")
        path = request.path()
        database = self.database(request.namespace)
        match request.method:
            case "STREAM":
                self._listen(request, database, path)
                return None
            case "GET":
                return _read(request, database.tree, path)
            case "PUT" | "PATCH" | "POST" | "DELETE":
                return self._write(request, database, path)
        raise RtdbError(405, f"{request.method} is not supported.")

    def _write(self, request: Request, database: Database, path: Path) -> Answer:
        tree, method = database.tree, request.method
        expected = request.headers.get("if-match")
        if expected is not None:
            if method not in ("PUT", "DELETE"):
                raise RtdbError(400, f"if-match is not supported for {method}.")
            current = tree.etag(path)
            if expected != current:
                return Answer.of(tree.get(path), 412, current)
        value = None if method == "DELETE" else request.value()
        if method == "PATCH":
            if not isinstance(value, dict):
                raise RtdbError(400, INVALID_OBJECT)
            change = tree.patch(path, value)
        elif method == "POST":
            change = tree.post(path, value)
        else:
            change = tree.put(path, value)
        self._committed(database, change)
        etag = tree.etag(path) if _wants_etag(request) else None
        return _render(request, lambda: _reply(method, change), etag)

    def _committed(self, database: Database, change: Change) -> None:
        self.counters.commits += 1
        self._unsaved = True
        database.log.extend(leaf_writes(change))
        for stream in list(database.streams):
            event = event_for(change, stream.at)
            if event is not None:
                stream.send(event.kind, {"path": event.path, "data": event.data})

    def _listen(self, request: Request, database: Database, path: Path) -> None:
        if request.connection.stream.closed():
            return
        self.counters.statuses[200] += 1
        stream = EventStream(request.connection, path)
        request.connection.set_close_callback(lambda: database.streams.discard(stream))
        database.streams.add(stream)
        stream.send("put", {"path": "/", "data": database.tree.get(path)})

    def _send_keep_alives(self) -> None:
        for database in self._databases.values():
            for stream in list(database.streams):
                stream.send("keep-alive", None)

    def _load(self) -> None:
        if self._data_file is None or not self._data_file.exists():
            return
        try:
            for namespace, value in json.loads(self._data_file.read_bytes()).items():
                self.database(namespace).tree.put((), value)
        except (ValueError, AttributeError, RtdbError) as error:
            raise ValueError(f"{self._data_file} is not a data file: {error}") from None

    def _save(self) -> None:
        if self._data_file is None or not self._unsaved:
            return
        data: Json = {name: each.tree.get(()) for name, each in self._databases.items()}
        _write_whole(self._data_file, _dumps(data))
        self._unsaved = False


class Control:
    """`/.control`: what a test in another process can ask of the server.

    GET /.control               the state: counters, open streams, faults with their hits
    POST /.control              {"faults": [...], "clear": [...]}, either may be missing. `clear`
                                names any of `counters`, `writes`, `streams`, `data` (with its
                                log and streams), and comes first; `faults` replaces all faults.
                                Answers the state.
    GET /.control/writes?ns=    {"writes": [[path, value], ...], "forgotten": n}
    """

    def __init__(self, server: RtdbServer) -> None:
        self._server = server

    def answer(self, request: Request) -> Answer:
        """The answer to one control request; 400 with a reason if it makes no sense."""
        try:
            match request.method, request.raw_path:
                case "GET", "/.control/writes":
                    return Answer.of(self._server.database(request.namespace).log.as_json())
                case "POST", "/.control":
                    self._server.obey(ControlOrder.from_json(request.value()))
                    return Answer.of(self._server.state())
                case "GET", "/.control":
                    return Answer.of(self._server.state())
        except (RtdbError, ValueError) as error:
            return Answer.error(400, str(error))
        return Answer.error(404, "GET or POST /.control, GET /.control/writes?ns=")


def _read(request: Request, tree: RtdbTree, path: Path) -> Answer:
    if request.parameters.get("shallow") == "true":
        return _render(request, lambda: tree.shallow(path), None)
    etag = tree.etag(path) if _wants_etag(request) else None
    if etag is not None and etag == request.headers.get("if-none-match"):
        return Answer(304, None, etag)
    return _render(request, lambda: tree.get(path), etag)


def _wants_etag(request: Request) -> bool:
    headers = request.headers
    asks = headers.get("X-Firebase-ETag", "").lower() == "true"
    return asks or "if-match" in headers or "if-none-match" in headers


def _reply(method: str, change: Change) -> Json:
    """What a write answers: the new child's name, or what is there now."""
    if method == "POST":
        return {"name": change.written[0].path[-1]}
    if change.kind == "put":
        return export(change.written[0].after)
    below = len(change.base)
    return {"/".join(each.path[below:]): export(each.after) for each in change.written}


def _render(request: Request, value: Callable[[], Json], etag: str | None) -> Answer:
    match request.parameters.get("print"):
        case "silent":
            return Answer(204, None, etag)
        case "pretty":
            body = json.dumps(value(), indent=2, ensure_ascii=False).encode() + b"\n"
            return Answer(200, body, etag)
    return Answer.of(value(), etag=etag)


def _key_position(body: bytes, key: str) -> str:
    """`line:column` of a key in the body, counted from 1, as RTDB names it."""
    text = body.decode()
    for ensure_ascii in (True, False):
        written = json.dumps(key, ensure_ascii=ensure_ascii)
        found = re.search(re.escape(written) + r"\s*:", text)
        if found:
            before = text[: found.start()]
            return f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
    return "1:1"


def _reason(status: int) -> str:
    if status == HTTPStatus.UNAUTHORIZED:
        return "Permission denied"
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def _start_line(status: int) -> ResponseStartLine:
    return ResponseStartLine("HTTP/1.1", status, _reason(status))


def _dumps(value: Json) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _write_whole(path: FilePath, data: bytes) -> None:
    """Write a file so that a reader sees all of it or nothing."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(data)
    temporary.replace(path)


async def _serve(options: argparse.Namespace) -> int:
    asked_to_stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked_to_stop.set)
    server = RtdbServer(keep_alive=options.keep_alive, data_file=options.data_file)
    try:
        port = await server.start(options.host, options.port)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"The development database cannot start: {error}\n")
        return 1
    host = f"[{options.host}]" if ":" in options.host else options.host
    sys.stdout.write(f"{NAME}: http://{host}:{port}\n")
    sys.stdout.flush()
    if options.port_file is not None:
        _write_whole(options.port_file, f"{port}\n".encode())
    await asked_to_stop.wait()
    await server.stop()
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server until SIGTERM or SIGINT; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m app.dev.rtdb_server", description=NAME)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--port-file", type=FilePath, help="where to write the port once open")
    parser.add_argument("--data-file", type=FilePath, help="JSON file to keep the data in")
    parser.add_argument(
        "--keep-alive",
        type=float,
        default=KEEP_ALIVE_SECONDS,
        help="seconds between keep-alive events",
    )
    return asyncio.run(_serve(parser.parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
