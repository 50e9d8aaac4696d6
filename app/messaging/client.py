"""Connections to Redis, with timeouts so that a dead connection holds nothing up."""

import functools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.errors import RetryLater
from app.messaging.answers import meaning_of
from app.urls import masked

SOCKET_TIMEOUT = 2.0
_CONNECT_TIMEOUT = 2.0
"""Seconds. Twice either is less than the 5 within which the bridge must be able to stop."""

_UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"
_TLS_FIXES = {
    f"{_UNTRUSTED}.*(is not valid for|ismatch)": (
        "use the host name that its certificate was issued for in {variable}"
    ),
    # OpenSSL's words for a CA that does not follow RFC 5280, which Python requires since 3.13.
    f"{_UNTRUSTED}.*(Key Identifier|key usage extension|Basic Constraints)": (
        "issue its CA and its certificate again with the extensions that Python 3.13 and later "
        "require: subjectKeyIdentifier, authorityKeyIdentifier, and in the CA's certificate also "
        "critical basicConstraints and keyUsage=keyCertSign"
    ),
    _UNTRUSTED: "name the file of its CA: {variable}=rediss://...?ssl_ca_certs=FILE",
    r"handshake|\[SSL": "if it does not use TLS, start {variable} with redis://",
    "closed by server|closed the connection": "if it uses TLS, start {variable} with rediss://",
}
"""What to do about an error by a pattern of its text; the first that matches counts."""

_OPTIONS = {
    "socket_timeout": SOCKET_TIMEOUT,
    "socket_connect_timeout": _CONNECT_TIMEOUT,
    "socket_keepalive": True,
    "health_check_interval": 10,
    # A retry below us would repeat a PUBLISH or an XADD without our knowing.
    "retry": Retry(NoBackoff(), 0),
    "protocol": 2,
    # No CLIENT SETINFO: it costs two round trips, and docs/redis-users.acl cannot allow it,
    # because Redis older than 7.2 does not start with an ACL that names it.
    "driver_info": None,
}


def connect(url: str) -> redis.Redis:
    """Return a client that connects when it is first used, and returns bytes as bytes."""
    options = _options(url)
    if url.startswith("rediss:"):
        options["redis_connect_func"] = _leave_nothing_unread
    client: redis.Redis = redis.Redis.from_url(url, **options)
    pool = client.connection_pool
    pool.connection_class = leaves_a_wrong_server(pool.connection_class)
    return client


@functools.cache
def leaves_a_wrong_server(kind: type[Any]) -> type[Any]:
    """Return a class of redis-py connections that closes when it leads to the wrong server.

    After a failover behind a switch or a name, the old connections live on, to a replica. The next
    command connects anew.
    """

    class Leaving(kind):  # type: ignore[misc]  # a class that is only known here
        def read_response(self, *arguments: Any, **options: Any) -> Any:
            try:
                return super().read_response(*arguments, **options)
            except redis.ResponseError as error:
                answer = meaning_of(error)
                if answer and answer.wrong_server:
                    self.disconnect()
                raise

    return Leaving


def _leave_nothing_unread(connection: Any) -> None:
    """Set up a new TLS connection, and read the session tickets that the server sends unasked.

    redis-py takes a connection that can be read before its first command for a broken one.
    """
    connection.on_connect()
    connection.send_command("PING")
    connection.read_response()


def bare_connection(url: str) -> Any:
    """Return an unconnected redis.Connection whose owner connects it and checks its health."""
    options = _options(url) | {"health_check_interval": 0}
    return redis.ConnectionPool.from_url(url, **options).make_connection()


def _options(url: str) -> dict[str, Any]:
    options = dict(_OPTIONS)
    if url.startswith("unix:"):
        # redis-py's connection to a socket file does not take it.
        del options["socket_keepalive"]
    return options


def database_of(client: redis.Redis) -> int:
    """Return the number of the client's database."""
    return int(client.connection_pool.connection_kwargs.get("db") or 0)


def is_refusal(error: BaseException) -> bool:
    """Return whether waiting is useless: somebody has to correct a setting or a certificate."""
    answer = meaning_of(error) if isinstance(error, redis.RedisError) else None
    return (answer is not None and not answer.waiting_helps) or _UNTRUSTED in str(error)


def fix_for(error: BaseException, variable: str = "REDIS_URL") -> str:
    """Return what an operator can do when Redis could not be used.

    Args:
        error: The error that using it raised.
        variable: Name of the setting or option that holds the URL.
    """
    text = f"{error} {error.__context__}"
    by_text = (fix for pattern, fix in _TLS_FIXES.items() if re.search(pattern, text, re.DOTALL))
    answer = meaning_of(error) if isinstance(error, redis.RedisError) else None
    fix = next(by_text, None) or (answer.fix if answer else None)
    if fix is None:
        answered = isinstance(error, redis.ResponseError)
        fix = "see its log: it is alive" if answered else "start it, or correct {variable}"
    return fix.format(variable=variable)


@contextmanager
def reaching(url: str, variable: str = "REDIS_URL") -> Iterator[None]:
    """Turn every failure to use the Redis at `url` into RetryLater.

    Args:
        url: The Redis that is used.
        variable: Name of the setting or option that holds the URL.
    """
    try:
        yield
    except (redis.RedisError, OSError) as error:
        reason = f"{error}".rstrip(".")
        fix = fix_for(error, variable)
        raise RetryLater(f"cannot use Redis at {masked(url)}: {reason}: {fix}") from None


@dataclass
class CircuitBreaker:
    """Spares its users a Redis that does not answer: each attempt takes a timeout of seconds.

    Whoever gets no answer trips it. The others then leave Redis alone until it is reset.
    """

    is_tripped: bool = False
