"""The websocket of the JavaScript SDK over tornado: `/.ws`, its frames, and slow readers."""

from __future__ import annotations

import json
from asyncio import Future
from typing import cast

from tornado.http1connection import HTTP1Connection
from tornado.iostream import StreamBufferFullError
from tornado.web import Application, HTTPError, RequestHandler
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from app.dev.rtdb.databases import Databases
from app.dev.rtdb.http import (
    DEFAULT_NAMESPACE,
    MAX_UNREAD_STREAM_BYTES,
    TOO_BIG,
    dumps,
)
from app.dev.rtdb.session import NOT_UNDERSTOOD, Session
from app.dev.rtdb.tree import Json

FRAME_LENGTH = 16 * 1024
"""Characters. A longer message is sent as its number of frames, followed by the frames."""

KEEP_ALIVE = "0"

MAX_MESSAGE_BYTES = 16 * 1024 * 1024

_TO_WEBSOCKETS = """\
localStorage.removeItem("firebase:previous_websocket_failure");
console.warn("The development server speaks websockets only. If this repeats: forceWebSockets()");
parent["pLPCommand{}"]("close");
"""


class WebSockets:
    """All open connections."""

    def __init__(self, databases: Databases) -> None:
        self.databases = databases
        self.connections: set[WebSocket] = set()

    def application(self) -> Application:
        """Return the handlers for `/.ws` and `/.lp`."""
        return Application(
            [(r"/\.ws", WebSocket, {"websockets": self}), (r"/\.lp", LongPolling)],
            websocket_max_message_size=MAX_MESSAGE_BYTES,
        )

    def close(self) -> None:
        """Close them at once, and do the writes that clients left for their disconnection."""
        for each in list(self.connections):
            each.drop()


class WebSocket(WebSocketHandler):
    """One connection."""

    def initialize(self, websockets: WebSockets) -> None:
        """Set up the handler; tornado calls this."""
        self._websockets = websockets
        self._frames = Frames()
        self._is_refused = False

    def check_origin(self, origin: str) -> bool:
        """Accept any page: a front end in development is served from another port."""
        return True

    def prepare(self) -> None:
        """Limit the memory that a client takes if it does not read."""
        self._stream = cast(HTTP1Connection, self.request.connection).stream
        self._stream.max_write_buffer_size = MAX_UNREAD_STREAM_BYTES

    def open(self) -> None:
        """Start the session."""
        self.set_nodelay(True)
        self._websockets.connections.add(self)
        namespace = self.get_argument("ns", "") or DEFAULT_NAMESPACE
        self._session = Session(self._websockets.databases, namespace, self._send, self.drop)
        self._session.greet(self.request.host)

    def on_message(self, message: str | bytes) -> None:
        """Receive one frame."""
        if self._is_refused:
            return
        try:
            text = self._frames.join(message if isinstance(message, str) else message.decode())
            received = None if text is None else json.loads(text)
        except (ValueError, RecursionError) as error:
            self._refuse(TOO_BIG if isinstance(error, TooBig) else NOT_UNDERSTOOD)
            return
        if received is not None:
            self._session.receive(received)

    def on_close(self) -> None:
        """End the session."""
        if self in self._websockets.connections:
            self._websockets.connections.discard(self)
            self._session.end()

    def drop(self) -> None:
        """Close the connection at once."""
        self._stream.close()
        self.on_close()

    def _refuse(self, reason: str) -> None:
        """Close for good: the SDK shows the reason, and does not send the same again."""
        self._is_refused = True
        self._send({"t": "c", "d": {"t": "s", "d": reason}})
        self.close(1009 if reason == TOO_BIG else 1002)

    def _send(self, message: Json) -> None:
        try:
            for frame in split(dumps(message).decode()):
                self.write_message(frame).add_done_callback(_retrieve_exception)
        except StreamBufferFullError:  # disconnected, like an event stream that nobody reads
            self._stream.close()
        except WebSocketClosedError:
            pass


class LongPolling(RequestHandler):
    """The SDK's fallback in a page whose last websocket failed; the page is led back."""

    def get(self) -> None:
        """Return a script that makes the page forget the failure and connect again."""
        callback = self.get_argument("cb", "")
        if not (callback.isascii() and callback.isdecimal()):
            raise HTTPError(400)
        self.set_header("Content-Type", "text/javascript; charset=utf-8")
        self.finish(_TO_WEBSOCKETS.format(callback))


class TooBig(ValueError):
    """A message is longer than the server accepts."""


class Frames:
    """Joins frames to messages."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._missing = 0
        self._length = 0

    def join(self, frame: str) -> str | None:
        """Return the message that a frame completes, or None.

        Raises:
            TooBig: The message becomes too long.
        """
        if self._missing == 0:
            if frame == KEEP_ALIVE:
                return None
            if len(frame) <= 6 and frame.isdecimal():
                self._missing = int(frame)
                return None
            self._missing = 1
        self._parts.append(frame)
        self._missing -= 1
        self._length += len(frame)
        if self._length > MAX_MESSAGE_BYTES:
            raise TooBig
        if self._missing:
            return None
        message = "".join(self._parts)
        self._parts.clear()
        self._length = 0
        return message


def split(message: str) -> list[str]:
    """Return the frames of a message."""
    starts = range(0, len(message), FRAME_LENGTH)
    parts = [message[start : start + FRAME_LENGTH] for start in starts]
    return parts if len(parts) == 1 else [str(len(parts)), *parts]


def _retrieve_exception(written: Future[None]) -> None:
    """Retrieve the error of a write to a closed connection, or asyncio would report it."""
    if not written.cancelled():
        written.exception()
