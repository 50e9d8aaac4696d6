"""A stream of the changes of one Firebase node, kept open in the background."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import requests
import urllib3

from app.errors import ProfitBridgeError
from app.firebase.client import FirebaseClient
from app.firebase.events import CHANGES, Event, parse_events
from app.firebase.paths import node_path
from app.settings import Settings
from app.timing import Backoff

_KEEP_ALIVE = 30.0
"""Seconds without a change after which the database sends a keep-alive."""

_LATE = _KEEP_ALIVE + 5.0
_MAX_SILENCE = 1.5 * _KEEP_ALIVE
_FIRST_RETRY, _LONGEST_RETRY = 1.0, 4.0
_CHUNK = 65_536


class StreamStatus(NamedTuple):
    """Whether the stream is up to date."""

    is_live: bool
    silence: float | None
    """Seconds since Firebase last sent something; None: never."""
    problem: str
    """Why the stream is down; empty if no problem is known."""


class Stream:
    """Reports every change of a node, from a thread of its own; reconnects whenever it has to.

    Args:
        settings: This process's settings.
        on_event: Called from the thread; the first event of each connection is the whole node.
        symbol: The symbol whose performance to follow; without one, all symbols are followed.

    Raises:
        WrongSetting: The settings name no database, or no usable credentials.
    """

    def __init__(
        self, settings: Settings, on_event: Callable[[Event], None], symbol: str | None = None
    ) -> None:
        self._client = FirebaseClient(settings)
        self._path = "" if symbol is None else node_path(symbol, "performance")
        self._on_event = on_event
        self._response: requests.Response | None = None
        self._last_event_at: float | None = None
        self._problem = ""
        self._backoff = Backoff(_FIRST_RETRY, _LONGEST_RETRY)
        self._closed = threading.Event()
        threading.Thread(target=self._run, name="firebase-stream", daemon=True).start()

    def status(self) -> StreamStatus:
        last_event_at, response = self._last_event_at, self._response
        silence = None if last_event_at is None else time.monotonic() - last_event_at
        is_live = response is not None and silence is not None and silence < _LATE
        return StreamStatus(is_live, silence, self._problem)

    def close(self) -> None:
        """Stop following the node, and close the connection."""
        self._closed.set()
        response = self._response
        if response is not None:
            # Nothing else wakes a thread that is waiting for the next event.
            with suppress(OSError, RuntimeError, ValueError):
                response.raw.shutdown()
        self._client.close()

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                self._listen()
                self._problem = "Firebase closed the connection"
            except (
                OSError,  # includes requests.RequestException
                ValueError,
                urllib3.exceptions.HTTPError,
                ProfitBridgeError,
            ) as error:
                self._problem = _summary(error)
            finally:
                self._response = None
            self._closed.wait(self._backoff.next_pause())

    def _listen(self) -> None:
        with self._client.stream(self._path, _MAX_SILENCE) as response:
            for event in parse_events(_lines(response)):
                self._response, self._problem = response, ""
                self._last_event_at = time.monotonic()
                self._backoff.reset()
                if event.kind in CHANGES:
                    self._on_event(event)


def _lines(response: requests.Response) -> Iterator[str]:
    """Yield each line as soon as it is there.

    `iter_lines` of requests would wait for a full chunk, or read byte by byte.
    """
    rest = b""
    while chunk := response.raw.read1(_CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line.rstrip(b"\r").decode() for line in lines)


def _summary(error: Exception) -> str:
    """What is wrong, without the layers that the error passed through."""
    if isinstance(error, ProfitBridgeError):
        return str(error)
    inner: Any = error
    while getattr(inner, "args", None) and isinstance(inner.args[0], Exception):
        inner = inner.args[0]
    reason = getattr(inner, "reason", None) or inner
    return " ".join(str(reason).rpartition(": ")[2].split()) or type(error).__name__
