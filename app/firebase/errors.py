"""What an answer of Google means to the caller, or that there is none."""

import json
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3 import exceptions as urllib3_errors

from app.errors import (
    Denied,
    GiveUp,
    Misconfigured,
    OutcomeUnknown,
    ProfitBridgeError,
    RetryLater,
)
from app.firebase.transport import current_call

_MAY_PASS = frozenset({408, 423, 425, 429})
"""Statuses below 500 of a server that is busy, or of a database that is locked."""

# Firebase itself answers these. All other statuses from 500 on come from a proxy in front of it,
# which cannot know whether the database carried the request out.
_NOT_CARRIED_OUT = frozenset({500, 503})

_PERMISSION_DENIED = "Permission denied"
_LONGEST_TEXT = 200


class DatabaseNotFound(Misconfigured):
    """The URL names no database."""


class NotADatabase(RetryLater):
    """Something answers that is not Firebase: a login page, a web filter, another server."""


class TokenRejected(Misconfigured):
    """Firebase does not accept the token; a new one may help."""


class DatabaseJudge:
    """What an answer of the database means.

    Args:
        url: The database, for the messages.
        account: The service account that writes, for the messages.
    """

    def __init__(self, url: str, account: str) -> None:
        self._url = url
        self._account = account

    def objection(
        self, request: requests.PreparedRequest, response: requests.Response
    ) -> ProfitBridgeError | None:
        status, action = response.status_code, _action(request)
        if status == _success_of(request):
            return None
        words = _words(response)
        if 500 <= status != 501:
            text = f"{self._cannot(action)}: it answers {status} {words}".rstrip()
            is_unknown = action == "write" and status not in _NOT_CARRIED_OUT
            return OutcomeUnknown(text) if is_unknown else RetryLater(text)
        if status in _MAY_PASS:
            return RetryLater(f"{self._cannot(action)}: it answers {status} {words}".rstrip())
        if status == requests.codes.proxy_authentication_required:
            return RetryLater(
                f"{self._cannot(action)}: a proxy wants a password: put it into HTTPS_PROXY"
            )
        if status < 400 or (status in {401, 403} and not words):
            return self.not_a_database(action, _what_answers(response))
        if status in {401, 403}:
            return self._denial(status, action, words)
        if status == requests.codes.not_found:
            hint = f": {words}" if words else ": correct FIREBASE_DATABASE_URL"
            return DatabaseNotFound(f"there is no database at {self._url}{hint}")
        return GiveUp(f"Firebase rejects the {action}: {status} {words}".rstrip())

    def failure(self, request: requests.PreparedRequest, error: Exception) -> ProfitBridgeError:
        action, call = _action(request), current_call()
        text = f"{self._cannot(action)}: {_reason(request, error)}"
        if action == "write" and (call is None or call.has_sent):
            return OutcomeUnknown(text)
        return RetryLater(text)

    def not_a_database(self, action: str, what: str) -> NotADatabase:
        """Return the error of an answer that Firebase never gives."""
        return NotADatabase(
            f"no Firebase database answers at {self._url}: {what}, so nothing was "
            f"{'written' if action == 'write' else 'read'}: correct FIREBASE_DATABASE_URL, or let "
            "a web filter or a login page in between pass it"
        )

    def _denial(self, status: int, action: str, words: str) -> ProfitBridgeError:
        if status == 401 and words != _PERMISSION_DENIED:
            return TokenRejected(
                f"Firebase does not accept the sign-in of {self._account}: {words.rstrip('.')}: "
                "use the key of a service account of the same project as the database, and set "
                "this machine's clock"
            )
        return Denied(
            f"Firebase denies the {action}: {words}: correct the credentials or the rules "
            "(merge ours into them as docs/deployment.md shows, or set FIREBASE_AUTH_UID=admin to "
            "bypass them)"
        )

    def _cannot(self, action: str) -> str:
        return f"cannot {'write to' if action == 'write' else 'read from'} Firebase at {self._url}"


class SignInJudge:
    """What an answer of the token endpoint means.

    Google's own "never" is an error of OAuth in JSON. All else can pass.
    """

    _NEVER = frozenset(
        {
            *("invalid_grant", "invalid_client", "invalid_scope", "unauthorized_client"),
            *("access_denied", "disabled_client", "deleted_client", "account_disabled"),
            *("unsupported_grant_type", "admin_policy_enforced", "org_internal"),
        }
    )

    def objection(
        self, request: requests.PreparedRequest, response: requests.Response
    ) -> ProfitBridgeError | None:
        answer = _json(response)
        if response.status_code == 200 and _is_token(answer):
            return None
        error = answer.get("error") if isinstance(answer, dict) else None
        if 400 <= response.status_code < 500 and error in self._NEVER:
            return _never(str(error), str(answer.get("error_description") or ""))
        host = _host(request)
        if response.status_code == 200:
            return RetryLater(
                f"cannot sign in to Google at {host}: {_what_answers(response)}, and no token: let "
                "a web filter or a login page in between pass it"
            )
        return RetryLater(
            f"cannot sign in to Google at {host}: {_what_answers(response)}: if this persists, let "
            "this machine reach it"
        )

    def failure(self, request: requests.PreparedRequest, error: Exception) -> ProfitBridgeError:
        return RetryLater(
            f"cannot sign in to Google at {_host(request)}: {_reason(request, error)}"
        )


def _never(error: str, description: str) -> Misconfigured:
    text = f"Google refuses the sign-in: {error}"
    if description:
        text += f": {_one_line(description).rstrip('.')}"
    if "iat and exp" in description or "short-lived" in description:
        return Misconfigured(f"{text}: set this machine's clock, which is wrong (use NTP)")
    if "signature" in description.lower():
        return Misconfigured(
            f"{text}: the key in GOOGLE_APPLICATION_CREDENTIALS was revoked or deleted: download a "
            "new key: Firebase console, Project settings, Service accounts"
        )
    return Misconfigured(
        f"{text}: the service account in GOOGLE_APPLICATION_CREDENTIALS was deleted, disabled, or "
        "may not do this: enable it, or use the key of another one"
    )


def _is_token(answer: Any) -> bool:
    if not isinstance(answer, dict) or not isinstance(answer.get("access_token"), str):
        return False
    try:
        return int(answer.get("expires_in", 0)) >= 0
    except (TypeError, ValueError):
        return False


def _action(request: requests.PreparedRequest) -> str:
    return "read" if request.method == "GET" else "write"


def _success_of(request: requests.PreparedRequest) -> int:
    """Return the one status that says that a request was carried out.

    Writes ask for no answer (`print=silent`). Firebase, and its emulator, which is the same server,
    confirm them with 204. Nothing that stands in between gives that.
    """
    return 200 if _action(request) == "read" else 204


def _json(response: requests.Response) -> Any:
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError):
        return None


def _words(response: requests.Response) -> str:
    """Return what Firebase says is wrong; empty if somebody else answers."""
    answer = _json(response)
    error = answer.get("error") if isinstance(answer, dict) else None
    return _one_line(error) if isinstance(error, str) else ""


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_TEXT else f"{line[:_LONGEST_TEXT]}..."


def _what_answers(response: requests.Response) -> str:
    """Describe an answer that Google did not give."""
    status = response.status_code
    to = response.headers.get("Location") if 300 <= status < 400 else None
    if to:
        return f"it answers {status} and sends us to {_one_line(to)}"
    kind = "a page" if "html" in response.headers.get("Content-Type", "") else "something else"
    return f"it answers {status} with {kind}"


def _host(request: requests.PreparedRequest) -> str:
    return str(urlsplit(str(request.url)).netloc)


def _reason(request: requests.PreparedRequest, error: Exception) -> str:
    """Say in a few words why there is no answer, and what helps."""
    call = current_call()
    if call is not None and (call.is_cut or call.left <= 0):
        return f"no complete answer within {call.seconds:.0f} s"
    causes, host = list(_causes(error)), _host(request)
    for cause in causes:
        match cause:
            case urllib3_errors.ProxyError():
                return (
                    f"the proxy fails ({_words_of_os(causes)}): correct HTTPS_PROXY, or name "
                    f"{host} in NO_PROXY"
                )
            case ssl.SSLCertVerificationError():
                return (
                    f"the certificate of {host} is not trusted ({cause.verify_message}): if a "
                    "proxy inspects TLS, set REQUESTS_CA_BUNDLE to its authority; set this "
                    "machine's clock"
                )
            case urllib3_errors.NameResolutionError():
                return f"the name {host} cannot be resolved: correct it, or this machine's DNS"
            case urllib3_errors.NewConnectionError():
                break
            case urllib3_errors.ConnectTimeoutError() | urllib3_errors.ReadTimeoutError():
                if call is not None and call.has_sent:
                    return "no answer in time"
                return f"{host} does not answer: let the firewall pass it"
    return _words_of_os(causes)


def _words_of_os(causes: list[BaseException]) -> str:
    for cause in reversed(causes):
        if isinstance(cause, ConnectionResetError):
            return "the connection was reset"
        if isinstance(cause, OSError) and cause.strerror:
            return str(cause.strerror)
    return f"the connection broke ({type(causes[-1]).__name__})"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it wraps, from the outside to the inside."""
    seen: set[int] = set()
    inner: Any = error
    while isinstance(inner, BaseException) and id(inner) not in seen:
        seen.add(id(inner))
        yield inner
        wrapped = [inner.__cause__, getattr(inner, "reason", None), *inner.args]
        inner = next((each for each in wrapped if isinstance(each, BaseException)), None)
