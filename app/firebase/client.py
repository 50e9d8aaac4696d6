"""The client of Firebase Realtime Database, built on the Admin SDK."""

import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import firebase_admin
import requests
from firebase_admin import credentials, db

from app.domain import PERFORMANCE, Update, to_microseconds, to_text
from app.errors import GiveUp, Outdated, ProfitBridgeError, RejectMessage, WrongSetting
from app.firebase.errors import DENIED, FIREBASE_ERRORS, translate
from app.firebase.paths import node_path, nodes_of
from app.firebase.rate_limit import WriteRateLimiter
from app.settings import ADMIN, Settings

CONNECTIONS = 10
"""Requests that one process can have in flight at once."""

HEALTH_CHECK_PATH = "profit-bridge/doctor"
"""The parent of the values that `health_check` writes: outside FIREBASE_ROOT, so that no front end
sees them. database.rules.json names it."""

_CONNECT_TIMEOUT = 5.0


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

    def __init__(self, settings: Settings, acquire: Callable[[int], None] | None = None) -> None:
        self.url = settings.database_url
        self.root = settings.firebase_root
        options = {"databaseURL": self.url, "httpTimeout": settings.firebase_timeout_seconds}
        if settings.firebase_auth_uid != ADMIN:
            options["databaseAuthVariableOverride"] = {"uid": settings.firebase_auth_uid}
        name = f"profit-bridge-{os.getpid()}-{id(self)}"
        self._app = firebase_admin.initialize_app(credential_of(settings), options, name)
        self._root = db.reference(self.root, app=self._app)
        # The SDK has no public way to turn its retries off, or to time out a silent stream. Its
        # HTTP client gives both; this is the one private member of a library that we use.
        self._http: Any = self._root._client
        _configure(self._http.session, self._http.base_url, _MeteredAdapter(acquire))

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
        try:
            if len(nodes) == 1:
                ((path, value),) = nodes.items()
                self._root.child(path).set(value)
            else:
                self._root.update(nodes)
        except FIREBASE_ERRORS as error:
            if isinstance(error, DENIED) and len(updates) == 1:
                self._raise_if_outdated(updates[0])
            raise translate(error, "write", self.url) from None
        except (ValueError, TypeError) as error:
            raise GiveUp(f"Firebase cannot store this value: {error}") from None

    def get(self, path: str = "", *, shallow: bool = False) -> Any:
        """Return the value at `path` below the root; None if there is none.

        Args:
            path: The node; the root itself by default.
            shallow: Return True in place of each child that has children.
        """
        try:
            return self._node(path).get(shallow=shallow)
        except FIREBASE_ERRORS as error:
            raise translate(error, "read", self.url) from None
        except ValueError as error:
            raise GiveUp(f"cannot read from Firebase at {self.url}: {error}") from None

    def keys(self, path: str = "") -> list[str]:
        """Return the keys of the children at `path`, without reading what is below them."""
        node = self.get(path, shallow=True)
        return list(node) if isinstance(node, Mapping) else []

    def stream(self, path: str, max_silence: float) -> requests.Response:
        """Open an event stream of the node at `path`; close the response when done.

        Args:
            path: The node, below the root.
            max_silence: Seconds without a byte after which reading fails.

        Raises:
            OSError: Firebase cannot be reached.
            GoogleAuthError: Google does not accept the credentials.
        """
        session: requests.Session = self._http.create_listener_session()
        # A proxy named in the environment does not apply to a database on this machine.
        session.trust_env = self.url.startswith("https")
        return session.get(
            f"{self._http.base_url}{self._node(path).path}.json",
            params=self._http.params,
            headers={"Accept": "text/event-stream", "Accept-Encoding": "identity"},
            stream=True,
            timeout=(_CONNECT_TIMEOUT, max_silence),
        )

    def health_check(self) -> bool:
        """Write, read and delete a value below HEALTH_CHECK_PATH; return whether it was there."""
        node = db.reference(f"{HEALTH_CHECK_PATH}/{uuid.uuid4().hex}", app=self._app)
        value = {"written": datetime.now(UTC).isoformat()}
        try:
            node.set(value)
            try:
                return bool(node.get() == value)
            finally:
                node.delete()
        except FIREBASE_ERRORS as error:
            raise translate(error, "write", self.url) from None

    def close(self) -> None:
        """Close the connections."""
        firebase_admin.delete_app(self._app)

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


def credential_of(settings: Settings) -> credentials.Base | None:
    """Return the credentials to sign in with; None for an emulator. Open no connection.

    Raises:
        WrongSetting: The settings name no database, or no usable key file.
    """
    path = settings.credentials_file
    if path is None:
        return None
    try:
        return credentials.Certificate(str(path))
    except (OSError, ValueError) as error:
        raise WrongSetting(
            f"GOOGLE_APPLICATION_CREDENTIALS: {path} is not the key file of a service account: "
            f"{error}"
        ) from None


class _MeteredAdapter(requests.adapters.HTTPAdapter):
    """Reports the size of every write before it is sent; never retries.

    The SDK's own retries would block a task for 7 s, and would not renew its lease.
    """

    def __init__(self, acquire: Callable[[int], None] | None) -> None:
        super().__init__(pool_maxsize=CONNECTIONS, max_retries=0)
        self._acquire = acquire

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> Any:
        if self._acquire and request.method != "GET":
            self._acquire(len(request.body or b""))
        return super().send(request, *args, **options)


def _configure(session: requests.Session, url: str, adapter: requests.adapters.HTTPAdapter) -> None:
    """Make the SDK's session use `adapter`, and read the environment only once.

    At every call, requests would look there for proxies and certificates: a third of its cost.
    """
    for scheme in ("http://", "https://"):
        session.mount(scheme, adapter)
    environment = session.merge_environment_settings(url, {}, None, None, None)
    session.proxies, session.verify = environment["proxies"], environment["verify"]
    session.trust_env = False


def firebase_of_this_process(settings: Settings) -> FirebaseClient:
    """Return this process's client, which is made anew after a fork and for other settings."""
    return _client_of(os.getpid(), settings)


@lru_cache(maxsize=1)
def _client_of(_process: int, settings: Settings) -> FirebaseClient:
    return FirebaseClient(settings, WriteRateLimiter(settings).acquire)
