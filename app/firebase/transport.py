"""How requests reach Google: each is sent once, answered honestly, and ended by a deadline."""

import contextlib
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, Protocol

import requests
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from app.errors import WrongSetting

CONNECTIONS = 10
"""Requests that one process can have in flight at once."""


class Call:
    """What the client was asked for: all its requests together end by its deadline.

    A timeout alone would not end them: it starts again with every byte that comes.
    """

    def __init__(self, seconds: float, *, for_orders: bool) -> None:
        self.seconds = seconds
        self.for_orders = for_orders
        """Whether it writes orders."""
        self.ends_at = time.monotonic() + seconds
        self.is_cut = False
        """Whether the deadline has ended it."""
        self.has_sent = False
        """Whether some of its last request may have been sent."""
        self._sockets: list[socket.socket] = []

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self.ends_at - time.monotonic()

    def use(self, descriptor: int) -> None:
        """Note a socket that it reads from: at the deadline, reading ends.

        Raises:
            TimeoutError: The deadline is over.
        """
        if self.left <= 0:
            raise TimeoutError("the deadline is over")
        # A descriptor of our own: the one given is closed by others, and then given out again.
        self._sockets.append(socket.socket(fileno=os.dup(descriptor)))

    def cut(self) -> None:
        self.is_cut = True
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        for each in self._sockets:
            each.close()


_call: ContextVar[Call | None] = ContextVar("call", default=None)


def current_call() -> Call | None:
    """Return the call that this thread is making."""
    return _call.get()


class Watchdog:
    """Ends calls at their deadline, from a thread of its own."""

    def __init__(self) -> None:
        self._calls: set[Call] = set()
        self._lock = threading.Lock()
        self._work = threading.Event()
        threading.Thread(target=self._run, name="firebase-watchdog", daemon=True).start()

    @contextlib.contextmanager
    def limit(self, seconds: float, *, for_orders: bool = False) -> Iterator[Call]:
        """Make what this thread does meanwhile one call."""
        call = Call(seconds, for_orders=for_orders)
        token = _call.set(call)
        self._calls.add(call)
        self._work.set()
        try:
            yield call
        finally:
            _call.reset(token)
            with self._lock:
                self._calls.discard(call)
                call.close()

    def _run(self) -> None:
        while True:
            self._work.wait()
            self._work.clear()
            while calls := list(self._calls):
                # Most are over long before, and none is noted here after one that ends earlier.
                time.sleep(max(0.0, min(call.ends_at for call in calls) - time.monotonic()))
                with self._lock:
                    for call in calls:
                        if call in self._calls and call.left <= 0:
                            call.cut()
                            self._calls.discard(call)


class _Watched:
    """A connection that belongs to the current call while it is used."""

    sock: socket.socket | None

    def _new_conn(self) -> socket.socket:
        made: socket.socket = super()._new_conn()  # type: ignore[misc]
        if call := _call.get():
            call.use(made.fileno())
        return made

    def request(self, *args: Any, **options: Any) -> None:
        if call := _call.get():
            if self.sock is not None:
                call.use(self.sock.fileno())
            call.has_sent = True
        super().request(*args, **options)  # type: ignore[misc]


class _Connection(_Watched, HTTPConnection):
    pass


class _TlsConnection(_Watched, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


_POOLS = {"http": _Pool, "https": _TlsPool}


class Judge(Protocol):
    """Says what an answer means, or that there is none."""

    def objection(
        self, request: requests.PreparedRequest, response: requests.Response
    ) -> Exception | None:
        """Return what to raise in place of this answer; None: it is what was asked for."""

    def failure(self, request: requests.PreparedRequest, error: Exception) -> Exception:
        """Return what to raise since there is no answer."""


class Acquire(Protocol):
    """What is needed of WriteRateLimiter here."""

    def __call__(self, size: int, /, *, for_orders: bool) -> None:
        """Wait until a write of so many bytes may be sent. Raises RetryLater."""


class Transport(requests.adapters.HTTPAdapter):
    """Sends each request once, and has its answer judged before anybody else sees it.

    So neither requests (redirects) nor google-auth (401) nor the Admin SDK (500, 503) sends it
    again, outside the lease and unseen by Flower.

    Args:
        judge: Judges every answer.
        acquire: Called with the size in bytes of every write before it is sent; may wait.
    """

    def __init__(self, judge: Judge, acquire: Acquire | None = None) -> None:
        super().__init__(pool_maxsize=CONNECTIONS, max_retries=0)
        self._judge = judge
        self._acquire = acquire

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def send(
        self, request: requests.PreparedRequest, stream: bool = False, *args: Any, **options: Any
    ) -> requests.Response:
        call = _call.get()
        if self._acquire and request.method != "GET":
            for_orders = call is not None and call.for_orders
            self._acquire(len(request.body or b""), for_orders=for_orders)
        if call:
            call.has_sent = False
        try:
            response = super().send(request, stream, *args, **options)
            if not stream:
                _ = response.content  # reading it may fail, too
            if call and call.is_cut:
                # To http.client the end of a connection is also the end of the headers.
                raise TimeoutError
        except Exception as error:
            # Whatever the libraries raise: it says something about the network, not about us.
            raise self._judge.failure(request, error) from None
        objection = self._judge.objection(request, response)
        if objection is not None:
            response.close()
            raise objection
        return response

    def serve(self, session: requests.Session, url: str) -> None:
        """Make a session send all that it sends through this, and read the environment only once.

        At every call, requests would look there for proxies and certificates: a third of its cost.
        """
        for scheme in ("http://", "https://"):
            session.mount(scheme, self)
        environment = session.merge_environment_settings(url, {}, None, None, None)
        session.proxies, session.verify = environment["proxies"], environment["verify"]
        session.trust_env = False
        if url.startswith("https"):
            _check_bundle(session.verify)


def _check_bundle(verify: Any) -> None:
    """Raise WrongSetting unless the certificates that the environment names can be used."""
    if not isinstance(verify, str):
        return
    reason = "there is no such file"
    if os.path.isdir(verify):
        return
    try:
        if os.path.exists(verify):
            ssl.create_default_context(cafile=verify)
            return
    except OSError:
        reason = "it holds no certificates"
    raise WrongSetting(
        f"REQUESTS_CA_BUNDLE (or CURL_CA_BUNDLE) is {verify}: {reason}: correct the path, or leave "
        "the variable out"
    )
