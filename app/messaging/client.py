"""Connections to Redis, with the timeouts that keep a dead one from holding anything up."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.errors import RetryLater
from app.settings import masked

SOCKET_TIMEOUT = 2.0
CONNECT_TIMEOUT = 2.0
"""Seconds; twice either is less than the 5 in which a bridge must be able to stop."""

HEALTH_CHECK_INTERVAL = 10

_FIXES: dict[type[Exception], str] = {
    redis.AuthenticationError: "correct the password in {variable}",
    redis.exceptions.NoPermissionError: "name a user in {variable} that may do this",
    redis.exceptions.ReadOnlyError: "name the primary in {variable}: this is a replica",
    redis.exceptions.OutOfMemoryError: "raise its maxmemory: it is full",
}

_UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"
# What OpenSSL says of a CA that does not follow RFC 5280, which Python insists on since 3.13.
_LAX_CA = ("Key Identifier", "key usage extension", "Basic Constraints")

# Retrying below us would send a PUBLISH or an XADD a second time without our knowing.
_OPTIONS = {
    "socket_timeout": SOCKET_TIMEOUT,
    "socket_connect_timeout": CONNECT_TIMEOUT,
    "socket_keepalive": True,
    "health_check_interval": HEALTH_CHECK_INTERVAL,
    "retry": Retry(NoBackoff(), 0),
    "protocol": 2,
    # No CLIENT SETINFO: two round trips saved, and a user of docs/redis-users.acl may not send it,
    # since a Redis older than 7.2 does not start with an ACL that names it.
    "driver_info": None,
}


def connect(url: str) -> redis.Redis:
    """A client for `url`. It connects when it is first used; bytes come back as bytes."""
    over_tls = {"redis_connect_func": _leave_nothing_unread} if url.startswith("rediss:") else {}
    client: redis.Redis = redis.Redis.from_url(url, **_OPTIONS, **over_tls)
    return client


def _leave_nothing_unread(connection: Any) -> None:
    """Set up a new TLS connection, and read the session tickets that the server sends unasked.

    redis-py takes a connection that can be read before its first command for a broken one.
    """
    connection.on_connect()
    connection.send_command("PING")
    connection.read_response()


def bare_connection(url: str) -> Any:
    """One redis.Connection for subscriptions; its owner connects it, and checks its health."""
    options = _OPTIONS | {"health_check_interval": 0}
    pool = redis.ConnectionPool.from_url(url, **options)
    return pool.make_connection()


def database_of(client: redis.Redis) -> int:
    """The number of the database that the client uses."""
    return int(client.connection_pool.connection_kwargs.get("db") or 0)


def is_refusal(error: BaseException) -> bool:
    """Whether waiting does not help: the password, or the certificate, is not accepted."""
    return isinstance(error, redis.AuthenticationError) or _UNTRUSTED in str(error)


def fix_for(error: BaseException, variable: str = "REDIS_URL") -> str:
    """What an operator does about a Redis that could not be reached.

    Args:
        error: that reaching it met.
        variable: the setting that says where it is.
    """
    said = f"{error} {error.__context__}"
    if _UNTRUSTED in said:
        if "is not valid for" in said or "ismatch" in said:
            return f"call it in {variable} by the name that its certificate is for"
        if any(complaint in said for complaint in _LAX_CA):
            return (
                "make its CA and its certificate anew with the extensions that Python 3.13 and "
                "later require: subjectKeyIdentifier, authorityKeyIdentifier, and in the CA's "
                "certificate also critical basicConstraints and keyUsage=keyCertSign"
            )
        return f"give the file of its CA: {variable}=rediss://...?ssl_ca_certs=FILE"
    if "handshake" in said or "[SSL" in said:
        return f"if it speaks no TLS there, begin {variable} with redis://"
    if "closed by server" in said or "closed the connection" in said:
        return f"if it speaks TLS there, begin {variable} with rediss://"
    for kind, fix in _FIXES.items():
        if isinstance(error, kind):
            return fix.format(variable=variable)
    return f"start it, or correct {variable}"


@contextmanager
def reaching(url: str, variable: str = "REDIS_URL") -> Iterator[None]:
    """Turn every failure to reach or use the Redis at `url` into RetryLater.

    Args:
        url: where it is.
        variable: the setting, or the option, that says so.
    """
    try:
        yield
    except (redis.RedisError, OSError) as error:
        said = f"{error}".rstrip(".")
        fix = fix_for(error, variable)
        raise RetryLater(f"cannot use Redis at {masked(url)}: {said}: {fix}") from None
