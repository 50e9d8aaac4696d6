"""Following a node of Firebase in the background, for as long as it takes."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import google.auth.exceptions
import requests
import urllib3

from app.firebase.client import FirebaseClient
from app.firebase.events import Event, events_of
from app.firebase.paths import node_path
from app.settings import Settings

KEEP_ALIVE = 30.0
"""Seconds after which the database says that it is there, if it has nothing else to say."""

_SILENCE = 1.5 * KEEP_ALIVE
_LATE = KEEP_ALIVE + 5.0
_RETRY_PAUSE = 1.0
_AT_ONCE = 65_536


class StreamUpdate(NamedTuple):
    """Whether what was heard last is what there is."""

    is_live: bool
    silence: float | None
    """Seconds since Firebase was heard last; None: never."""
    problem: str
    """Why it cannot be heard; empty if nothing is known to be wrong."""


class Stream:
    """Tells every change of a node, in a thread; connects again whenever it has to.

    Args:
        settings: of this process.
        on_event: called by the thread; the first event of every connection is the whole node.
        symbol: the ticker whose performance is followed; the node of all tickers if not given.

    Raises:
        WrongSetting: the settings name no database, or no usable credentials.
    """

    def __init__(
        self, settings: Settings, on_event: Callable[[Event], None], symbol: str | None = None
    ) -> None:
        self._client = FirebaseClient(settings)
        self._below = "" if symbol is None else node_path(symbol, "performance")
        self._on_event = on_event
        self._answer: requests.Response | None = None
        self._heard_at: float | None = None
        self._problem = ""
        self._closed = threading.Event()
        threading.Thread(target=self._follow, name="firebase-stream", daemon=True).start()

    def news(self) -> StreamUpdate:
        """How it stands."""
        heard_at, answer = self._heard_at, self._answer
        silence = None if heard_at is None else time.monotonic() - heard_at
        is_live = answer is not None and silence is not None and silence < _LATE
        return StreamUpdate(is_live, silence, self._problem)

    def close(self) -> None:
        """Follow no longer; gives the connection back."""
        self._closed.set()
        answer = self._answer
        if answer is not None:
            # Only this wakes a thread that waits for the next event.
            with suppress(OSError, RuntimeError, ValueError):
                answer.raw.shutdown()
        self._client.close()

    def _follow(self) -> None:
        while not self._closed.is_set():
            try:
                self._listen()
                self._problem = "Firebase has closed the connection"
            except (
                OSError,  # a RequestException is one
                ValueError,
                urllib3.exceptions.HTTPError,
                google.auth.exceptions.GoogleAuthError,
            ) as error:
                self._problem = _in_short(error)
            finally:
                self._answer = None
            self._closed.wait(_RETRY_PAUSE)

    def _listen(self) -> None:
        with self._client.stream(self._below, _SILENCE) as answer:
            if not answer.ok:
                raise ConnectionError(f"Firebase answers {answer.status_code}: {answer.text[:200]}")
            for event in events_of(_lines(answer)):
                self._answer, self._problem = answer, ""
                self._heard_at = time.monotonic()
                if event.kind in {"put", "patch"}:
                    self._on_event(event)


def _lines(answer: requests.Response) -> Iterator[str]:
    """The lines as they come: requests' own would wait for more, or read byte by byte."""
    rest = b""
    while piece := answer.raw.read1(_AT_ONCE):
        *lines, rest = (rest + piece).split(b"\n")
        yield from (line.rstrip(b"\r").decode() for line in lines)


def _in_short(error: Exception) -> str:
    """What is wrong, without the layers that it came through."""
    inner: Any = error
    while getattr(inner, "args", None) and isinstance(inner.args[0], Exception):
        inner = inner.args[0]
    reason = getattr(inner, "reason", None) or inner
    return " ".join(str(reason).rpartition(": ")[2].split()) or type(error).__name__
