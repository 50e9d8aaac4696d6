"""One connection to Redis that is read and written in bulk.

redis-py handles one command and one message at a time; at tens of thousands a second that alone
would keep a processor busy. It still makes the connection (password, database, TLS), and its
parser still reads the answers; only the bytes pass it by.
"""

from typing import Any

import hiredis
import redis

from app.redis_client import SOCKET_TIMEOUT, bare_connection

_AT_ONCE = 256 * 1024


class Wire:
    """A connection of its owner's alone. After any error there is nothing to do but to close it.

    Raises:
        redis.RedisError: Redis refuses, or does not understand.
        OSError: it cannot be reached.
    """

    def __init__(self, url: str) -> None:
        self._connection = bare_connection(url)
        self._connection.connect()
        self._socket: Any = self._connection._sock
        self._buffer = bytearray(_AT_ONCE)
        self._reader = hiredis.Reader(
            protocolError=redis.InvalidResponse, replyError=redis.ResponseError
        )

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

    def receive(self, timeout: float) -> tuple[list[Any], int]:
        """Wait for bytes, and read every answer or message that is whole by now.

        Args:
            timeout: seconds.

        Returns:
            What was read, an error as an exception in its place; and how many bytes came.

        Raises:
            TimeoutError: nothing came.
            OSError: the connection is gone.
            redis.RedisError: what came is not Redis.
        """
        self._socket.settimeout(timeout)
        count = self._socket.recv_into(self._buffer)
        if not count:
            raise redis.ConnectionError("it closed the connection")
        self._reader.feed(self._buffer, 0, count)  # type: ignore[arg-type]
        found = []
        # False is what the reader says when there is no whole answer; Redis has no false here.
        while (answer := self._reader.gets()) is not False:
            found.append(answer)
        return found, count

    def answers(self, count: int) -> list[Any]:
        """The answers to `count` commands.

        Raises:
            redis.RedisError: one of them is an error, or what came is no answer.
            OSError: they did not come.
        """
        found: list[Any] = []
        while len(found) < count:
            found += self.receive(SOCKET_TIMEOUT)[0]
        for answer in found:
            if isinstance(answer, redis.RedisError):
                raise answer
        return found

    def close(self) -> None:
        """End the connection, also under another thread that waits for it."""
        self._connection.disconnect()
