"""Writing to Firebase Realtime Database, over the Admin SDK.

The tree is laid out here, keys are escaped here, and the SDK's errors are translated here into
what the caller does with them.
"""

import logging
import os
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import firebase_admin
import google.auth.exceptions
import requests
from firebase_admin import credentials, db, exceptions
from urllib3.exceptions import NewConnectionError

from app.domain import PERFORMANCE, Update, to_microseconds, to_text
from app.errors import (
    GiveUp,
    Misconfigured,
    OutcomeUnknown,
    Outdated,
    RejectMessage,
    RetryLater,
    WrongSetting,
)
from app.firebase.rate_limit import rate_limiter_of
from app.settings import ADMIN, Settings

log = logging.getLogger(__name__)

FIREBASE_ERRORS = (exceptions.FirebaseError, google.auth.exceptions.GoogleAuthError)
"""What the SDK raises where Firebase, or the signing in to it, fails."""

CONNECTIONS = 10
"""Requests that one process can have under way at once."""

# RTDB forbids . $ # [ ] / and controls in keys; ? and % would not survive the path of a URL.
_FORBIDDEN = re.compile(r"[!.$#\[\]/?%\x00-\x1f\x7f]")
_ESCAPE = re.compile(r"!([0-9A-F]{2})")

_RETRIED = (
    exceptions.UnavailableError,
    exceptions.DeadlineExceededError,
    exceptions.InternalError,
    exceptions.ResourceExhaustedError,
    exceptions.AbortedError,
    exceptions.CancelledError,
)
_REFUSED = (exceptions.UnauthenticatedError, exceptions.PermissionDeniedError)
_ANSWERED_BY_A_PROXY = frozenset({502, 504})
_RETRIED_STATUS = frozenset({408, 423, 429, 502, 504})


@lru_cache(maxsize=65_536)
def escape_key(text: str) -> str:
    """`text` as a key that RTDB allows; `unescape_key` gives it back."""
    return _FORBIDDEN.sub(lambda found: f"!{ord(found.group()):02X}", text)


def unescape_key(key: str) -> str:
    """The text that `escape_key` made `key` of."""
    return _ESCAPE.sub(lambda found: chr(int(found.group(1), 16)), key)


def node_path(symbol: str, key: str) -> str:
    """The path of a value, below the root that holds the symbols."""
    name, slash, identity = key.partition("/")
    path = f"{escape_key(symbol)}/{escape_key(name)}"
    return f"{path}/{escape_key(identity)}" if slash else path


def _nodes(update: Update) -> dict[str, Any]:
    """The nodes that an update sets, by path; a price sets its fields beside its siblings."""
    if update.key != "price" or not isinstance(update.value, Mapping):
        return {node_path(update.symbol, update.key): _escaped(update.value)}
    fields = {**update.value, "last_updated": datetime.now(UTC).isoformat(timespec="microseconds")}
    return {node_path(update.symbol, name): _escaped(value) for name, value in fields.items()}


def _escaped(value: Any) -> Any:
    if isinstance(value, str | float | int):
        return value
    if isinstance(value, Mapping):
        return {escape_key(str(name)): _escaped(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_escaped(inner) for inner in value]
    return value


class FirebaseClient:
    """Writes below one root of one database.

    Not to be used across a fork: a child that shares its parent's connections reads answers meant
    for others. `firebase_of_this_process` hands out one per process.

    Raises:
        WrongSetting: the settings name no database, or no usable credentials.

    Args:
        settings: of this process.
        acquire: called with the bytes of every write before it is sent, and may wait.
    """

    def __init__(self, settings: Settings, acquire: Callable[[int], None] | None = None) -> None:
        self.url = settings.database_url
        self.root = settings.firebase_root
        self._app = firebase_admin.initialize_app(
            credential_of(settings),
            _options(settings),
            name=f"profit-bridge-{os.getpid()}-{id(self)}",
        )
        self._root = db.reference(self.root, app=self._app)
        _let_us_retry(self._root, _Metered(acquire or (lambda _size: None)))

    def store_ticker_data(self, symbol: str, key: str, value: Any) -> str:
        """Store one value; its siblings stay as they are.

        Returns:
            The path that was written.

        Raises:
            RetryLater: Firebase cannot be reached, or is overloaded.
            OutcomeUnknown: Firebase may have stored it and did not say so, or may do so yet.
            Misconfigured: credentials or rules refuse it.
            Outdated: the rules refuse it since what is there is newer.
            GiveUp: Firebase will never take this value.
        """
        self.store_many([Update(symbol, key, value)])
        return f"{self.root}/{node_path(symbol, key)}"

    def store_many(self, updates: Sequence[Update]) -> None:
        """Store several values in one request: all of them or, on any error, perhaps none.

        Raises:
            RetryLater: as above.
            OutcomeUnknown: as above.
            Misconfigured: as above; one value that the rules refuse is enough.
            Outdated: as above, of the only value.
            GiveUp: as above; one value that cannot be taken is enough.
        """
        nodes = {path: value for update in updates for path, value in _nodes(update).items()}
        try:
            if len(nodes) == 1:
                ((path, value),) = nodes.items()
                self._root.child(path).set(value)
            else:
                self._root.update(nodes)
        except FIREBASE_ERRORS as error:
            if isinstance(error, _REFUSED) and len(updates) == 1:
                self._look_for_newer(updates[0])
            raise self._translated(error) from None
        except (ValueError, TypeError) as error:
            raise GiveUp(f"Firebase cannot take this value: {error}") from None

    def close(self) -> None:
        """Give the connections back."""
        firebase_admin.delete_app(self._app)

    def _look_for_newer(self, update: Update) -> None:
        """Raise Outdated if what is there is a newer performance than the one that was refused."""
        if update.key != PERFORMANCE or not isinstance(update.value, Mapping):
            return
        place = self._root.child(node_path(update.symbol, PERFORMANCE))
        try:
            there = place.child("timestamp").get()
        except FIREBASE_ERRORS:
            return  # the refusal says enough
        if _is_newer(there, update.value.get("timestamp")):
            raise Outdated(
                f"Firebase refuses the write: the performance there is newer, of {there}; "
                "if it is wrong: python -m app audit --fix"
            )

    def _translated(self, error: Exception) -> Exception:
        if isinstance(error, google.auth.exceptions.TransportError) or (
            isinstance(error, google.auth.exceptions.GoogleAuthError) and error.retryable
        ):
            return RetryLater(f"cannot sign in to Google: {error}")
        if isinstance(error, google.auth.exceptions.GoogleAuthError):
            return Misconfigured(
                f"Google refuses the credentials: {error}: correct GOOGLE_APPLICATION_CREDENTIALS"
            )
        assert isinstance(error, exceptions.FirebaseError)  # noqa: S101 - for the type checker
        if isinstance(error, _REFUSED):
            return Misconfigured(
                f"Firebase refuses the write: {error}: correct the credentials or the rules: "
                "deploy database.rules.json, or set FIREBASE_AUTH_UID=admin to write past all rules"
            )
        if isinstance(error, exceptions.NotFoundError):
            return Misconfigured(f"there is no database at {self.url}: {error}")
        if isinstance(error, _RETRIED) or _may_pass(error):
            kind = OutcomeUnknown if _may_have_landed(error) else RetryLater
            return kind(f"cannot write to Firebase at {self.url}: {_said(error)}")
        return GiveUp(f"Firebase will not take this: {error}")


def _options(settings: Settings) -> dict[str, Any]:
    """What the SDK is to be told besides the credentials."""
    options = {
        "databaseURL": settings.database_url,
        "httpTimeout": settings.firebase_timeout_seconds,
    }
    if settings.firebase_auth_uid == ADMIN:
        return options
    return options | {"databaseAuthVariableOverride": {"uid": settings.firebase_auth_uid}}


def _is_newer(there: Any, ours: Any) -> bool:
    """Whether one timestamp of the form that sorts by time is after another."""
    if not isinstance(there, str) or not isinstance(ours, str):
        return False
    try:
        return to_text(to_microseconds(there)) == there > ours
    except RejectMessage:
        return False


def _may_pass(error: exceptions.FirebaseError) -> bool:
    """Whether an error that the SDK has no class for may pass."""
    if not isinstance(error, exceptions.UnknownError):
        return False
    if error.http_response is not None:
        return error.http_response.status_code in _RETRIED_STATUS
    return not isinstance(error.cause, requests.exceptions.InvalidJSONError)


def _may_have_landed(error: exceptions.FirebaseError) -> bool:
    """Whether the request may have been carried out, or may be yet, although it failed."""
    if error.http_response is not None:
        return error.http_response.status_code in _ANSWERED_BY_A_PROXY
    if isinstance(error.cause, requests.exceptions.ConnectTimeout):
        return False
    return not isinstance(_reason(error), NewConnectionError)


def _reason(error: exceptions.FirebaseError) -> Exception | None:
    """What happened to the connection, if it is that."""
    inner = error.cause.args[0] if error.cause and error.cause.args else None
    return getattr(inner, "reason", None)


def _said(error: exceptions.FirebaseError) -> str:
    """What went wrong, without urllib3's account of its pool, the path and its tries."""
    reason = _reason(error)
    return str(error) if reason is None else str(reason).rpartition("): ")[2]


def credential_of(settings: Settings) -> credentials.Base | None:
    """The credentials to sign in with; None for an emulator. Opens no connection.

    Raises:
        WrongSetting: there is no database, or no usable key file.
    """
    path = settings.credentials_file
    if path is None:
        return None
    try:
        return credentials.Certificate(str(path))
    except (OSError, ValueError) as error:
        raise WrongSetting(
            f"GOOGLE_APPLICATION_CREDENTIALS: {path} is no key file of a service account: {error}"
        ) from None


class _Metered(requests.adapters.HTTPAdapter):
    """Says of every write how large it is before it is sent; and sends it once."""

    def __init__(self, acquire: Callable[[int], None]) -> None:
        super().__init__(pool_maxsize=CONNECTIONS, max_retries=0)
        self._acquire = acquire

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> Any:
        if request.method != "GET":
            self._acquire(len(request.body or b""))
        return super().send(request, *args, **options)


def _let_us_retry(reference: db.Reference, adapter: requests.adapters.HTTPAdapter) -> None:
    """Take the SDK's own retries out: they would hold a task for 7 s, and know no lease."""
    session = reference._client.session
    for scheme in ("http://", "https://"):
        session.mount(scheme, adapter)
    # Looking for proxies and certificates in the environment at every call costs a third of it.
    found = session.merge_environment_settings(reference._client.base_url, {}, None, None, None)
    session.proxies, session.verify = found["proxies"], found["verify"]
    session.trust_env = False


_of_process: tuple[tuple[int, Settings], FirebaseClient] | None = None


def firebase_of_this_process(settings: Settings) -> FirebaseClient:
    """The client of this process, made when it is first asked for, and anew after a fork.

    And for other settings, as a process has that runs one command after the other.
    """
    global _of_process  # noqa: PLW0603 - one per process is the point
    owner = (os.getpid(), settings)
    if _of_process is None or _of_process[0] != owner:
        _of_process = (owner, FirebaseClient(settings, rate_limiter_of(settings).acquire))
    return _of_process[1]
