"""One connection to Redis that is read and written in bulk.

redis-py handles one command and one message at a time; at tens of thousands a second that alone
would keep a processor busy. It still makes the connection (password, database, TLS), and its
parser still reads the answers; only the bytes pass it by.
"""

from typing import Any

import hiredis
import redis

from app.messaging.client import SOCKET_TIMEOUT, bare_connection

_AT_ONCE = 64 * 1024
"""Bytes: some hundreds of reports, which stay in a processor's cache until they are handled."""


class Answers:
    """The bytes of one connection, read."""

    def __init__(self) -> None:
        self._reader = hiredis.Reader(
            protocolError=redis.InvalidResponse, replyError=redis.ResponseError
        )

    def read(self, received: bytes) -> list[Any]:
        """Every answer or message that is whole with these bytes.

        Args:
            received: in the order in which it was received.

        Returns:
            They, with a redis.RedisError in the place of an error, or of what is not Redis: that is
            the last then.
        """
        self._reader.feed(received)
        found: list[Any] = []
        try:
            # False: there is no whole answer; Redis itself has no false here.
            while (answer := self._reader.gets()) is not False:
                found.append(answer)
        except redis.InvalidResponse as error:
            found.append(error)
        return found


class BulkConnection:
    """A connection of its owner's alone. After any error there is nothing to do but to close it.

    Raises:
        redis.RedisError: Redis refuses, or does not understand.
        OSError: it cannot be reached.
    """

    def __init__(self, url: str) -> None:
        self._connection = bare_connection(url)
        self._connection.connect()
        self._socket: Any = self._connection._sock
        self._answers = Answers()

    def send(self, commands: bytes) -> None:
        """Send commands that are packed already.

        Raises:
            OSError: perhaps some were sent.
        """
        self._socket.settimeout(SOCKET_TIMEOUT)
        self._socket.sendall(commands)

    def pack(self, *words: str) -> bytes:
        """One command as it goes over the wire."""
        return b"".join(self._connection.pack_command(*words))

    def receive(self, timeout: float) -> bytes:
        """Wait for bytes; those that are there by now, for `read`.

        Args:
            timeout: seconds.

        Raises:
            TimeoutError: nothing came.
            OSError: the connection is gone.
            redis.RedisError: Redis closed it.
        """
        self._socket.settimeout(timeout)
        received: bytes = self._socket.recv(_AT_ONCE)
        if not received:
            raise redis.ConnectionError("it closed the connection")
        return received

    def read(self, received: bytes) -> list[Any]:
        """As `Answers.read`, for the bytes of this connection; also when it is closed."""
        return self._answers.read(received)

    def answers(self, count: int) -> list[Any]:
        """The answers to `count` commands.

        Raises:
            redis.RedisError: one of them is an error, or what came is no answer.
            OSError: they did not come.
        """
        found: list[Any] = []
        while len(found) < count:
            found += self.read(self.receive(SOCKET_TIMEOUT))
        for answer in found:
            if isinstance(answer, redis.RedisError):
                raise answer
        return found

    def close(self) -> None:
        """End the connection, also under another thread that waits for it."""
        self._connection.disconnect()
