"""Signing in to Google, once for all the processes of a worker."""

import fcntl
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import google.auth.credentials
import google.auth.exceptions
import requests
from firebase_admin import credentials

from app.errors import RetryLater, WrongSetting
from app.firebase.errors import SignInJudge
from app.firebase.transport import Transport, current_call
from app.settings import Settings

_TIMEOUT = 3.0, 4.0
"""Seconds to connect, and to answer. Short, so that all is current soon after an outage."""

_RENEWAL_SECONDS = 60.0
"""How long a token that was made because another one was rejected is not replaced in turn."""

_MARGIN_SECONDS = 240.0
"""How long before its end a token is used no more; google-auth thinks alike."""

_PATIENCE = 10.0
_POLL_SECONDS = 0.02
_LARGEST = 65_536


class TokenCache:
    """A token that a process shares with the processes that are forked from it."""

    def __init__(self) -> None:
        # It has no name, and nobody but these processes can open it.
        if hasattr(os, "memfd_create"):
            self._file = os.memfd_create("token")
        else:
            with tempfile.TemporaryFile() as file:
                self._file = os.dup(file.fileno())
        self._threads = threading.Lock()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let nobody else sign in meanwhile.

        Raises:
            RetryLater: Somebody else is still at it when our own call has to end.
        """
        call = current_call()
        ends_at = time.monotonic() + (_PATIENCE if call is None else call.left)
        if not self._threads.acquire(timeout=max(0.0, ends_at - time.monotonic())):
            raise _somebody_else()
        try:
            # The operating system ends this lock with the process that holds it.
            while not self._lock():
                if time.monotonic() >= ends_at:
                    raise _somebody_else()
                time.sleep(_POLL_SECONDS)
            try:
                yield
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)
        finally:
            self._threads.release()

    def _lock(self) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def read(self) -> tuple[str, float] | None:
        """Return the token, and when it ends in seconds since 1970; None if there is none."""
        text = os.pread(self._file, _LARGEST, 0)
        if not text:
            return None
        token, ends_at = json.loads(text)
        return token, ends_at

    def write(self, token: str, ends_at: float) -> None:
        text = json.dumps([token, ends_at]).encode()
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, text, 0)

    def close(self) -> None:
        os.close(self._file)


def _somebody_else() -> RetryLater:
    return RetryLater("cannot sign in to Google: another task is still waiting for its answer")


_shared: TokenCache | None = None


def share_sign_in() -> None:
    """Have this process and those that are forked from it sign in together."""
    global _shared  # noqa: PLW0603
    _shared = TokenCache()


class SignIn(google.auth.credentials.Credentials):
    """Credentials that sign in with a service account's key, one request at a time.

    google-auth by itself sends a request for a token up to three times, looks up regions in the
    background, and breaks on answers that Google never gives.

    Args:
        account: What the key file of the service account holds.

    Raises:
        ValueError: It holds something else; the text says what.
    """

    def __init__(self, account: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._key = _key_of(account)
        self.account = str(account["client_email"])
        """The service account's e-mail address."""
        self._cache = _shared or TokenCache()
        self._renewed_at = -_RENEWAL_SECONDS
        self._session = requests.Session()
        Transport(SignInJudge()).serve(self._session, account["token_uri"])

    def refresh(self, _request: Any) -> None:
        """Get a token: the one that another process has got meanwhile, or a new one."""
        rejected = self.token
        with self._cache.locked():
            found = self._cache.read()
            if found is None or found[0] == rejected or found[1] - time.time() < _MARGIN_SECONDS:
                found = self._sign_in()
        self.token, ends_at = found
        self.expiry = datetime.fromtimestamp(ends_at, UTC).replace(tzinfo=None)

    def renew(self) -> bool:
        """Have the next request sign in anew; return False if that was done a moment ago."""
        if time.monotonic() - self._renewed_at < _RENEWAL_SECONDS:
            return False
        self._renewed_at = time.monotonic()
        self.expiry = datetime.fromtimestamp(0, UTC).replace(tzinfo=None)
        return True

    def close(self) -> None:
        self._session.close()
        if self._cache is not _shared:
            self._cache.close()

    def _sign_in(self) -> tuple[str, float]:
        try:
            self._key.refresh(self._ask)
        except google.auth.exceptions.GoogleAuthError as error:
            raise RetryLater(f"cannot sign in to Google: {type(error).__name__}") from None
        expiry: datetime | None = self._key.expiry
        ends_at = expiry.replace(tzinfo=UTC).timestamp() if expiry else time.time() + 3600
        self._cache.write(self._key.token, ends_at)
        return self._key.token, ends_at

    def _ask(
        self, url: str, method: str = "GET", body: Any = None, headers: Any = None, **_: Any
    ) -> SimpleNamespace:
        """Send one request for google-auth, in the form that it asks for."""
        answer = self._session.request(
            method, url, data=body, headers=headers, timeout=_TIMEOUT, allow_redirects=False
        )
        return SimpleNamespace(
            status=answer.status_code, headers=answer.headers, data=answer.content
        )


def sign_in_of(settings: Settings) -> SignIn | None:
    """Return the credentials to sign in with; None for an emulator. Open no connection.

    Raises:
        WrongSetting: The settings name no database, or no usable key file.
    """
    path = settings.credentials_file
    if path is None:
        return None
    try:
        return SignIn(json.loads(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise WrongSetting(
            f"GOOGLE_APPLICATION_CREDENTIALS: {path} is not the key file of a service account: "
            f"{error}: download one: Firebase console, Project settings, Service accounts"
        ) from None


def _key_of(account: Any) -> Any:
    if not isinstance(account, dict) or account.get("type") != "service_account":
        raise ValueError('it is no JSON object with "type": "service_account"')
    try:
        key = credentials.Certificate(account)
        key.signer.sign(b"")  # a key that is not RSA fails only here
    except Exception as error:
        raise ValueError(f"its key cannot be used ({type(error).__name__})") from None
    return key.get_credential()
