"""Translation of the Admin SDK's and google-auth's errors into what the caller does next."""

from typing import Any, Literal

import google.auth.exceptions
import requests
from firebase_admin import exceptions
from urllib3.exceptions import NewConnectionError

from app.errors import GiveUp, Misconfigured, OutcomeUnknown, ProfitBridgeError, RetryLater

FIREBASE_ERRORS = (exceptions.FirebaseError, google.auth.exceptions.GoogleAuthError)
"""What the SDK raises if Firebase, or signing in to it, fails."""

DENIED = (exceptions.UnauthenticatedError, exceptions.PermissionDeniedError)
"""What the SDK raises if the rules or the credentials do not allow a request."""

_TRANSIENT = (
    exceptions.UnavailableError,
    exceptions.DeadlineExceededError,
    exceptions.InternalError,
    exceptions.ResourceExhaustedError,
    exceptions.AbortedError,
    exceptions.CancelledError,
)
# For these statuses the SDK has no class of its own: it raises UnknownError.
_TRANSIENT_STATUS = frozenset({408, 423, 429, 502, 504})
# A proxy answers these, and cannot know whether the database carried the request out.
_PROXY_STATUS = frozenset({502, 504})


class DatabaseNotFound(Misconfigured):
    """The URL names no database."""


def translate(error: Any, action: Literal["read", "write"], url: str) -> ProfitBridgeError:
    """Return the error to raise in place of one of FIREBASE_ERRORS.

    Args:
        error: The error.
        action: What failed.
        url: The database, for the message.
    """
    if isinstance(error, google.auth.exceptions.GoogleAuthError):
        if isinstance(error, google.auth.exceptions.TransportError) or error.retryable:
            return RetryLater(f"cannot sign in to Google: {error}")
        return Misconfigured(
            f"Google rejects the credentials: {error}: correct GOOGLE_APPLICATION_CREDENTIALS"
        )
    if isinstance(error, DENIED):
        return Misconfigured(
            f"Firebase denies the {action}: {error}: correct the credentials or the rules "
            "(merge database.rules.json into them, or set FIREBASE_AUTH_UID=admin to bypass them)"
        )
    if isinstance(error, exceptions.NotFoundError):
        return DatabaseNotFound(f"there is no database at {url}: {error}")
    if isinstance(error, _TRANSIENT) or _is_transient(error):
        to_or_from = "write to" if action == "write" else "read from"
        text = f"cannot {to_or_from} Firebase at {url}: {_summary(error)}"
        if action == "write" and _may_have_been_carried_out(error):
            return OutcomeUnknown(text)
        return RetryLater(text)
    return GiveUp(f"Firebase rejects the {action}: {error}")


def _is_transient(error: exceptions.FirebaseError) -> bool:
    if not isinstance(error, exceptions.UnknownError):
        return False
    if error.http_response is not None:
        return error.http_response.status_code in _TRANSIENT_STATUS
    return not isinstance(error.cause, requests.exceptions.InvalidJSONError)


def _may_have_been_carried_out(error: exceptions.FirebaseError) -> bool:
    """Whether a failed request may have taken effect, or may still do so."""
    if error.http_response is not None:
        return error.http_response.status_code in _PROXY_STATUS
    if isinstance(error.cause, requests.exceptions.ConnectTimeout):
        return False
    return not isinstance(_connection_error(error), NewConnectionError)


def _connection_error(error: exceptions.FirebaseError) -> Exception | None:
    """The urllib3 error at the root of a failed connection, if that is what failed."""
    inner = error.cause.args[0] if error.cause and error.cause.args else None
    return getattr(inner, "reason", None)


def _summary(error: exceptions.FirebaseError) -> str:
    """The message without urllib3's account of its pool, the path and the number of attempts."""
    reason = _connection_error(error)
    return str(error) if reason is None else str(reason).rpartition("): ")[2]
