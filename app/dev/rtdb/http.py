"""HTTP over tornado: requests, responses, event streams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import cast
from urllib.parse import parse_qs, unquote_plus

from tornado.http1connection import HTTP1Connection
from tornado.httputil import (
    HTTPHeaders,
    HTTPMessageDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.iostream import StreamBufferFullError, StreamClosedError

from app.dev.rtdb.tree import (
    INVALID_JSON,
    INVALID_PATH,
    Json,
    Path,
    RtdbError,
    StreamEvent,
    parse_path,
)

DEFAULT_NAMESPACE = "profit-bridge"
MAX_BODY_BYTES = 256 * 1024 * 1024
"""Of one REST request. A message over the websocket may have 16 MB."""
MAX_UNREAD_STREAM_BYTES = 64 * 1024 * 1024

ANY_ORIGIN = {"Access-Control-Allow-Origin": "*"}
"""Header that lets pages of any origin read a response, as Firebase does."""

NO_DATA = "Error: No data supplied."
TOO_BIG = "Data to write exceeds the maximum size that can be modified with a single request."


@dataclass(frozen=True)
class HttpResponse:
    """One response; a `body` of None sends none."""

    status: int
    body: bytes | None
    etag: str | None = None
    content_type: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, value: Json, status: int = 200, etag: str | None = None) -> HttpResponse:
        """Return a response with a JSON body."""
        return cls(status, dumps(value), etag)

    @classmethod
    def error(cls, status: int, text: str | None = None) -> HttpResponse:
        """Return an error in RTDB's form; the default text is the reason phrase of the status."""
        return cls.of({"error": text or _reason(status)}, status)

    @classmethod
    def text(cls, status: int, text: str) -> HttpResponse:
        """Return a line of plain text."""
        return cls(status, text.encode() + b"\n", content_type="text/plain; charset=utf-8")


class HttpRequest(HTTPMessageDelegate):
    """One request, while it is read, and the means to respond.

    `method` is the one that `X-HTTP-Method-Override` names, and `STREAM` for a GET that asks for an
    event stream.
    """

    def __init__(self, connection: HTTP1Connection, handle: Callable[[HttpRequest], None]) -> None:
        self.connection = connection
        self.body = bytearray()
        self._too_big = False
        self._handle = handle

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> None:
        """Parse the request line and the headers."""
        line = cast(RequestStartLine, start_line)
        self.headers = headers
        self.raw_path, _, query = line.path.partition("?")
        self.parameters = {
            name: values[-1] for name, values in parse_qs(query, keep_blank_values=True).items()
        }
        self.namespace = self.parameters.get("ns") or DEFAULT_NAMESPACE
        method = line.method
        if method == "POST":
            override = self.parameters.get("x-http-method-override", method)
            method = headers.get("X-HTTP-Method-Override", override).upper()
        streams = "text/event-stream" in headers.get("Accept", "")
        self.method = "STREAM" if method == "GET" and streams else method

    def data_received(self, chunk: bytes) -> None:
        """Collect the body, and drop one that is too big."""
        self._too_big = self._too_big or len(self.body) + len(chunk) > MAX_BODY_BYTES
        if self._too_big:
            self.body.clear()
        else:
            self.body += chunk

    def finish(self) -> None:
        """Handle the complete request."""
        self._handle(self)

    @property
    def is_abandoned(self) -> bool:
        """Whether the client has disconnected."""
        return self.connection.stream.closed()

    @property
    def location(self) -> str:
        """The path without `.json`, decoded and unchecked, by which faults are chosen."""
        return "/" + unquote_plus(self.raw_path).removesuffix(".json").strip("/")

    def path(self) -> Path:
        """Return the path in the database; raise RtdbError 400 if it is invalid.

        A plus is a blank, as for Firebase.
        """
        segments = self.raw_path.removesuffix(".json").split("/")
        try:
            keys = [unquote_plus(segment, errors="strict") for segment in segments]
        except UnicodeDecodeError:
            raise RtdbError(400, INVALID_PATH) from None
        if any("/" in key for key in keys):  # an escaped slash is no separator, nor valid in a key
            raise RtdbError(400, INVALID_PATH)
        return parse_path("/".join(keys))

    def value(self) -> Json:
        """Return the JSON value in the body; raise RtdbError 400 if there is none."""
        if self._too_big:
            raise RtdbError(400, TOO_BIG)
        if not self.body.strip():
            raise RtdbError(400, NO_DATA)
        try:  # NaN and Infinity pass here, and are refused with the other numbers
            return cast(Json, json.loads(self.body.decode()))
        except (ValueError, RecursionError):
            raise RtdbError(400, INVALID_JSON) from None

    def respond(self, response: HttpResponse) -> None:
        """Send the response, if the client is still connected."""
        if self.is_abandoned:
            return
        body = None if self.method == "HEAD" else response.body
        start_line = _start_line(response.status)
        self.connection.write_headers(start_line, _headers_of(response, body), body)
        self.connection.finish()

    async def trickle(self, response: HttpResponse, pause: float) -> None:
        """Send the response byte by byte, and then close the connection."""
        if self.is_abandoned:
            return
        body = response.body or b""
        head = f"HTTP/1.1 {response.status} {_reason(response.status)}\r\n"
        for name, value in _headers_of(response, body).get_all():
            head += f"{name}: {value}\r\n"
        stream = self.connection.detach()
        with suppress(StreamClosedError):
            for byte in f"{head}\r\n".encode() + body:
                await stream.write(bytes([byte]))
                await asyncio.sleep(pause)
        stream.close()

    def drop(self) -> None:
        """Close the connection without a response."""
        self.connection.close()


class EventStream:
    """One open listener."""

    def __init__(self, connection: HTTP1Connection, path: Path) -> None:
        self.path = path
        self._connection = connection
        # A listener that stops reading is disconnected, as Firebase does, before it fills memory.
        connection.stream.max_write_buffer_size = MAX_UNREAD_STREAM_BYTES
        connection.stream.set_nodelay(True)
        headers = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
        connection.write_headers(_start_line(200), HTTPHeaders(headers | ANY_ORIGIN))

    def notify(self, event: StreamEvent) -> None:
        """Send a change."""
        self._send(event.kind, {"path": event.path, "data": event.data})

    def keep_alive(self) -> None:
        """Show that the connection is alive."""
        self._send("keep-alive", None)

    def _send(self, event: str, data: Json) -> None:
        if self._connection.stream.closed():
            return
        try:
            self._connection.write(b"event: %b\ndata: %b\n\n" % (event.encode(), dumps(data)))
        except StreamBufferFullError:
            self.close()

    def close(self) -> None:
        """End the stream by closing its connection."""
        self._connection.close()


def dumps(value: Json) -> bytes:
    """Return compact JSON on one line."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _headers_of(response: HttpResponse, body: bytes | None) -> HTTPHeaders:
    headers = HTTPHeaders({"Cache-Control": "no-cache"})
    if body is not None:
        headers["Content-Type"] = response.content_type
        headers["Content-Length"] = str(len(body))
    if response.etag is not None:
        headers["ETag"] = response.etag
    headers.update(response.headers)
    return headers


def _start_line(status: int) -> ResponseStartLine:
    return ResponseStartLine("HTTP/1.1", status, _reason(status))


def _reason(status: int) -> str:
    if status == HTTPStatus.UNAUTHORIZED:
        return "Permission denied"
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
