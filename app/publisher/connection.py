"""The publisher's connection to Redis, on which no wait is unbounded.

Uses what redis-py has had in public since 4.5, and newer options only where they are known.
"""

from __future__ import annotations

import inspect
import os
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.connection import Connection, parse_url
from redis.retry import Retry

SOCKET_TIMEOUT = 2.0
"""Seconds that Redis may take to connect, and to answer where no caller waits."""

_SHORTEST_WAIT = 0.001
_OPTIONS: dict[str, Any] = {
    "socket_timeout": SOCKET_TIMEOUT,
    "socket_connect_timeout": SOCKET_TIMEOUT,
    "socket_keepalive": True,
    # A retry below us would send a message twice.
    "retry": Retry(NoBackoff(), 0),
    "protocol": 2,
}
# No CLIENT SETINFO: it costs two round trips, and docs/redis-users.acl does not allow it, since a
# Redis older than 7.2 does not start with an ACL that names it. With both, redis-py 8 would warn.
_NO_SETINFO = {"driver_info": None}
_NO_SETINFO_BEFORE_7_2 = {"lib_name": None, "lib_version": None}
_WRONG_SERVER = re.compile(
    "READONLY|read[- ]only replica|MASTERDOWN|Link with MASTER is down|MOVED ", re.IGNORECASE
)
"""After a failover behind a switch or a name, an old connection still leads to what is a replica
now. redis-py leaves out some codes."""
_TLS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


class PublisherConnection:
    """One connection to Redis, used by one thread at a time.

    Args:
        options: from `connection_options`.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        kind = options.get("connection_class", Connection)
        given = {name: value for name, value in options.items() if name != "connection_class"}
        self._connection: Any = kind(**given)
        # From redis-py 7 on; before, a reply is polled for, and sending may take SOCKET_TIMEOUT.
        self._set_timeout = getattr(self._connection, "update_current_socket_timeout", None)
        self._socket_timeout = SOCKET_TIMEOUT
        self.is_connected = False

    def connect(self) -> None:
        """Connect, and make sure that Redis answers: a half-open one accepts connections.

        Raises:
            redis.RedisError, OSError: Redis cannot be reached, or refuses the connection.
        """
        self._connection.connect()
        self._socket_timeout = SOCKET_TIMEOUT
        self.is_connected = True
        with suppress(redis.ResponseError):
            self.exchange(self.pack([("PING",)]), 1, time.monotonic() + SOCKET_TIMEOUT)

    def disconnect(self) -> None:
        self.is_connected = False
        self._connection.disconnect()

    def pack(self, commands: Sequence[Sequence[Any]]) -> list[bytes]:
        """Return the commands as they are sent."""
        packed: list[bytes] = self._connection.pack_commands(commands)
        return packed

    def exchange(self, packed: Sequence[bytes], replies: int, deadline: float) -> Any:
        """Send packed commands and return the last of their replies.

        Args:
            packed: from `pack`.
            replies: how many replies to take.
            deadline: on the monotonic clock.

        Raises:
            redis.ResponseError: Redis refuses one of them. The connection stays usable, unless it
                leads to the wrong server: then it is closed, to be connected anew.
            redis.RedisError, OSError: no reply, or none in time; the connection is closed.
        """
        refusal: redis.ResponseError | None = None
        reply: Any = None
        try:
            self._limit_socket(deadline)
            self._connection.send_packed_command(packed, check_health=False)
            for _ in range(replies):
                self._limit_reply(deadline)
                try:
                    reply = self._connection.read_response()
                except redis.ResponseError as error:
                    refusal = refusal or error
        except BaseException:
            # Also an exception of a signal handler: the rest of the reply must not be read as the
            # reply to something else.
            self.disconnect()
            raise
        if refusal is None and isinstance(reply, list):
            refusal = next((part for part in reply if isinstance(part, redis.ResponseError)), None)
        if refusal is not None:
            if _WRONG_SERVER.search(f"{getattr(refusal, 'status_code', '')} {refusal}"):
                self.disconnect()
            raise refusal
        return reply

    def _limit_socket(self, deadline: float) -> None:
        # Within a tenth is near enough, and setting it each time costs a fifth of a `publish`.
        left = _left(deadline)
        if self._set_timeout and abs(left - self._socket_timeout) > left / 10:
            self._set_timeout(left)
            self._socket_timeout = left

    def _limit_reply(self, deadline: float) -> None:
        if self._set_timeout:
            self._limit_socket(deadline)
        elif not self._connection.can_read(_left(deadline)):
            raise redis.TimeoutError("Timeout reading from socket")


def url_of(url: str | None, **parts: object) -> str | None:
    """Return the URL that the arguments of a publisher name, or None if they name none.

    Args:
        url: a whole URL.
        parts: in its place `host`, `port`, `db`, `username` and `password`, as `redis.Redis` takes
            them. One that is None or empty is not given.

    Raises:
        ValueError: one of them cannot be used; the text has no password.
    """
    given = {name: part for name, part in parts.items() if part is not None and part != ""}
    if url and given:
        raise ValueError(f"url and {next(iter(given))} are both given: leave out one of them")
    if url is not None and not isinstance(url, str):
        raise ValueError(f"url must be text such as redis://host:6379/0, not {type(url).__name__}")
    if not given:
        return url or None
    for name in given.keys() & {"host", "username", "password"}:
        if not isinstance(given[name], str):
            raise ValueError(f"{name} must be text, not {type(given[name]).__name__}")
    host = str(given.get("host", "localhost"))
    if re.search(r"[/@?#\s]", host):
        raise ValueError(f"host={masked(host)}: must be the name of a host; a URL goes into url")
    user, password = (quote(str(given.get(name, "")), safe="") for name in ("username", "password"))
    login = f"{user}:{password}@" if user or password else ""
    port = _whole_number(given, "port", 6379, range(1, 65_536))
    database = _whole_number(given, "db", 0, range(100_000))
    return f"redis://{login}{f'[{host}]' if ':' in host else host}:{port}/{database}"


def _whole_number(given: dict[str, object], name: str, default: int, allowed: range) -> int:
    text = str(given.get(name, default))
    if not (text.isascii() and text.isdigit() and int(text) in allowed):
        raise ValueError(
            f"{name}={text}: must be a whole number from {allowed.start} to {allowed.stop - 1}"
        )
    return int(text)


def connection_options(url: str) -> dict[str, Any]:
    """Return how to connect to the Redis at `url`, for `PublisherConnection`.

    Raises:
        ValueError: the URL cannot be used; the text says what it must be.
    """
    try:
        parts = urlsplit(url)
        options: dict[str, Any] = parse_url(url)  # type: ignore[no-untyped-call]
    except ValueError:
        parts = None
    if parts is None or not _names_a_server(parts):
        raise ValueError("must look like redis://host:6379/0")
    known = _parameters(options.get("connection_class", Connection))
    for name in options.keys() - known - {"connection_class"}:
        raise ValueError(f"takes no {name}; options of TLS need rediss://")
    for name in _TLS_FILES:
        if name in options and not os.access(options[name], os.R_OK):
            path = options[name]
            raise ValueError(f"{name}: there is no readable file {path}: correct the path")
    if parts.scheme == "rediss":
        # The default of redis-py before 6 is not to check it.
        options.setdefault("ssl_check_hostname", options.get("ssl_cert_reqs") != "none")
    ours = _OPTIONS | (_NO_SETINFO if known.issuperset(_NO_SETINFO) else _NO_SETINFO_BEFORE_7_2)
    return options | {name: value for name, value in ours.items() if name in known}


def database(options: dict[str, Any]) -> int:
    """Return the number of the database that `options` name."""
    return int(options.get("db") or 0)


def target_name(options: dict[str, Any]) -> str:
    """Return a name for the database, for use in a file name."""
    server = options.get("path") or (
        f"{options.get('host') or 'localhost'}-{options.get('port') or 6379}"
    )
    return quote(f"{server}-{database(options)}", safe="")


def masked(text: str) -> str:
    """Return `text` with every password of a URL in it hidden."""
    text = re.sub(r"(://[^:/@\s]*:)\S*@", r"\1***@", text)
    return re.sub(r"(password=)[^&\s]*", r"\1***", text)


def _left(deadline: float) -> float:
    return max(_SHORTEST_WAIT, deadline - time.monotonic())


def _parameters(kind: type) -> set[str]:
    """Return the names of the options that a class of redis-py and its bases know."""
    return {
        name
        for base in kind.__mro__
        if base is not object
        for name in inspect.signature(base.__init__).parameters  # type: ignore[misc]
    }


def _names_a_server(parts: SplitResult) -> bool:
    if parts.scheme == "unix":
        return bool(parts.path)
    is_redis = parts.scheme in {"redis", "rediss"} and bool(parts.hostname) and parts.port != 0
    return is_redis and bool(re.fullmatch(r"/?\d*", parts.path))
