"""The client of Firebase Realtime Database, built on the Admin SDK."""

import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar

import firebase_admin
import requests
from firebase_admin import db

from app.domain import ORDERS, PERFORMANCE, Update, time_in, to_microseconds, to_text
from app.errors import Denied, Outdated, ProfitBridgeError, RejectMessage
from app.firebase.errors import DatabaseJudge, TokenRejected
from app.firebase.events import children
from app.firebase.paths import node_path, nodes_of, unescape_key
from app.firebase.rate_limit import WriteRateLimiter
from app.firebase.sign_in import sign_in_of
from app.firebase.transport import CONNECTIONS, Acquire, Transport, Watchdog
from app.settings import ADMIN, Settings

CALL_SECONDS = 11.0
"""How long a call may take, with a sign-in and all that trickles in: well below a lease, of which
waiting for the write rate limiter may take a part, too."""

HEALTH_CHECK_PATH = "profit-bridge/doctor"
"""The parent of the values that `health_check` writes: outside FIREBASE_ROOT, so that no front end
sees them. database.rules.json names it."""

_CONNECT_TIMEOUT = 5.0

T = TypeVar("T")


class FirebaseClient:
    """Reads and writes below one root of one database.

    Do not use a client across a fork: a child that shares its parent's connections reads answers
    meant for other requests. `firebase_of_this_process` returns one per process.

    All methods but `stream` raise RetryLater if Firebase cannot be reached or is overloaded (of a
    write that may have been carried out: OutcomeUnknown), Misconfigured if the credentials or the
    rules do not allow the request, and GiveUp if Firebase will never accept it.

    Args:
        settings: This process's settings.
        acquire: Called with the size in bytes of every write before it is sent; may wait.

    Raises:
        WrongSetting: The settings name no database, or no usable credentials.
    """

    def __init__(self, settings: Settings, acquire: Acquire | None = None) -> None:
        self.url = settings.database_url
        self.root = settings.firebase_root
        self._sign_in = sign_in_of(settings)
        options = {"databaseURL": self.url, "httpTimeout": settings.firebase_timeout_seconds}
        if settings.firebase_auth_uid != ADMIN:
            options["databaseAuthVariableOverride"] = {"uid": settings.firebase_auth_uid}
        name = f"profit-bridge-{os.getpid()}-{id(self)}"
        self._app = firebase_admin.initialize_app(self._sign_in, options, name)
        self._root = db.reference(self.root, app=self._app)
        # The SDK has no public way to turn its retries off, or to time out a silent stream. Its
        # HTTP client gives both; this is the one private member of a library that we use.
        self._http: Any = self._root._client
        self._judge = DatabaseJudge(self.url, self._sign_in.account if self._sign_in else "owner")
        Transport(self._judge, acquire).serve(self._http.session, self._http.base_url)
        self._watchdog = Watchdog()

    def store_ticker_data(self, symbol: str, key: str, value: Any) -> str:
        """Store one value, as `store_many` does; return the path of its node."""
        self.store_many([Update(symbol, key, value)])
        return f"{self.root}/{node_path(symbol, key)}"

    def store_many(self, updates: Sequence[Update]) -> None:
        """Store several values in one request, all or none; their siblings stay as they are.

        Raises:
            Outdated: The rules deny a single value because the one in the database is newer.
        """
        nodes = {path: value for update in updates for path, value in nodes_of(update).items()}
        for_orders = all(update.is_order for update in updates)
        try:
            ((path, value), *others) = nodes.items()
            if not others and value is not None:
                self._call(lambda: self._root.child(path).set(value), for_orders=for_orders)
            else:
                self._call(lambda: self._root.update(nodes), for_orders=for_orders)
        except Denied:
            if len(updates) == 1:
                self._raise_if_outdated(updates[0])
            raise

    def get(self, path: str = "", *, shallow: bool = False) -> Any:
        """Return the value at `path` below the root; None if there is none.

        Args:
            path: The node; the root itself by default.
            shallow: Return True in place of each child that has children.
        """
        return self._call(lambda: self._read(self._node(path), shallow=shallow))

    def keys(self, path: str = "") -> list[str]:
        """Return the keys of the children at `path`, without reading what is below them."""
        return list(children(self.get(path, shallow=True)))

    def get_many(self, paths: Sequence[str]) -> list[Any]:
        """Return the value at each path, as `get` does, with several requests at a time."""
        with ThreadPoolExecutor(CONNECTIONS) as threads:
            return list(threads.map(self.get, paths))

    def order_ids(self, symbol: str) -> list[str]:
        """Return the ids of the orders that are stored for a symbol."""
        return [unescape_key(key) for key in self.keys(node_path(symbol, ORDERS.rstrip("/")))]

    def order_times(self, symbol: str, ids: Sequence[str]) -> list[int | None]:
        """Return the time of each order in microseconds since 1970; None if it has none."""
        found = self.get_many([f"{node_path(symbol, ORDERS + one)}/timestamp" for one in ids])
        return [time_in({"timestamp": timestamp}) for timestamp in found]

    def stream(self, path: str, max_silence: float) -> requests.Response:
        """Open an event stream of the node at `path`; close the response when done.

        Args:
            path: The node, below the root.
            max_silence: Seconds without a byte after which reading fails.
        """
        session: requests.Session = self._http.create_listener_session()
        Transport(self._judge).serve(session, self._http.base_url)
        return session.get(
            f"{self._http.base_url}{self._node(path).path}.json",
            params=self._http.params,
            headers={"Accept": "text/event-stream", "Accept-Encoding": "identity"},
            stream=True,
            timeout=(_CONNECT_TIMEOUT, max_silence),
        )

    def health_check(self) -> bool:
        """Write, read and delete a value below HEALTH_CHECK_PATH; return whether it was there."""
        parent = db.reference(HEALTH_CHECK_PATH, app=self._app)
        key, value = uuid.uuid4().hex, {"written": datetime.now(UTC).isoformat()}
        self._call(lambda: parent.update({key: value}))
        try:
            return bool(self._call(lambda: self._read(parent.child(key))) == value)
        finally:
            self._call(lambda: parent.update({key: None}))

    def close(self) -> None:
        """Close the connections."""
        firebase_admin.delete_app(self._app)
        if self._sign_in:
            self._sign_in.close()

    def _call(self, request: Callable[[], T], *, for_orders: bool = False) -> T:
        """Send a request that ends by its deadline; sign in anew, once, where that can help."""
        with self._watchdog.limit(CALL_SECONDS, for_orders=for_orders):
            try:
                return request()
            except TokenRejected:
                if not (self._sign_in and self._sign_in.renew()):
                    raise
                return request()

    def _read(self, node: db.Reference, *, shallow: bool = False) -> Any:
        try:
            return node.get(shallow=shallow)
        except ValueError:
            raise self._judge.not_a_database("read", "it answers with something else") from None

    def _node(self, path: str) -> db.Reference:
        return self._root.child(path) if path else self._root

    def _raise_if_outdated(self, update: Update) -> None:
        """Raise Outdated if the stored performance is newer than the one that was denied."""
        if update.key != PERFORMANCE or not isinstance(update.value, Mapping):
            return
        try:
            stored = self.get(f"{node_path(update.symbol, PERFORMANCE)}/timestamp")
        except ProfitBridgeError:
            return  # the denial itself says enough
        ours = update.value.get("timestamp")
        if _is_canonical_time(stored) and isinstance(ours, str) and stored > ours:
            raise Outdated(
                f"Firebase already holds a newer performance, of {stored}: "
                "if that one is wrong, run python -m app audit --fix"
            )


def _is_canonical_time(text: Any) -> bool:
    """Whether `text` is a timestamp as we write it: of those, the greater text is the later."""
    try:
        return isinstance(text, str) and to_text(to_microseconds(text)) == text
    except RejectMessage:
        return False


def firebase_of_this_process(settings: Settings) -> FirebaseClient:
    """Return this process's client, which is made anew after a fork and for other settings."""
    return _client_of(os.getpid(), settings)


@lru_cache(maxsize=1)
def _client_of(_process: int, settings: Settings) -> FirebaseClient:
    return FirebaseClient(settings, WriteRateLimiter(settings).acquire)
