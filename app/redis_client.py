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

# Retrying below us would send a PUBLISH or an XADD a second time without our knowing.
_OPTIONS = {
    "socket_timeout": SOCKET_TIMEOUT,
    "socket_connect_timeout": CONNECT_TIMEOUT,
    "socket_keepalive": True,
    "health_check_interval": HEALTH_CHECK_INTERVAL,
    "retry": Retry(NoBackoff(), 0),
    "protocol": 2,
}


def connect(url: str) -> redis.Redis:
    """A client for `url`. It connects when it is first used; bytes come back as bytes."""
    client: redis.Redis = redis.Redis.from_url(url, **_OPTIONS)
    return client


def bare_connection(url: str) -> Any:
    """One redis.Connection for subscriptions; its owner connects it, and checks its health."""
    options = _OPTIONS | {"health_check_interval": 0}
    pool = redis.ConnectionPool.from_url(url, **options)
    return pool.make_connection()


def database_of(client: redis.Redis) -> int:
    """The number of the database that the client uses."""
    return int(client.connection_pool.connection_kwargs.get("db") or 0)


@contextmanager
def reaching(url: str) -> Iterator[None]:
    """Turn every failure to reach or use the Redis at `url` into RetryLater."""
    try:
        yield
    except (redis.RedisError, OSError) as error:
        raise RetryLater(f"cannot use Redis at {masked(url)}: {error}") from None
