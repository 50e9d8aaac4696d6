"""A Redis connection that is read and written in bulk.

redis-py handles one command and one message at a time; at tens of thousands a second that alone
would keep a processor busy. Here it only connects (password, database, TLS) and its parser reads
the replies. The bytes go past it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import hiredis
import redis

from app.messaging.client import SOCKET_TIMEOUT, bare_connection

_READ_SIZE = 64 * 1024
"""Bytes: some hundreds of reports, which stay in the processor's cache until they are handled."""

# hiredis's own types allow only one word.
_pack_command: Any = hiredis.pack_command
pack: Callable[[tuple[str | bytes, ...]], bytes] = _pack_command
"""Encodes one command as Redis expects it."""


class ReplyReader:
    """Parses the bytes of one connection."""

    def __init__(self) -> None:
        self._reader = hiredis.Reader(
            protocolError=redis.InvalidResponse, replyError=redis.ResponseError
        )

    def read(self, received: bytes) -> list[Any]:
        """Return every reply and message that is complete with these bytes.

        Args:
            received: The bytes that follow those of the previous call.

        Returns:
            The replies in order. An error of Redis is in its place as a redis.RedisError. So are
            bytes that are not Redis's protocol, after which nothing can be read.
        """
        self._reader.feed(received)
        replies: list[Any] = []
        try:
            # False means that no complete reply is left: Redis itself never sends it here.
            while (reply := self._reader.gets()) is not False:
                replies.append(reply)
        except redis.InvalidResponse as error:
            replies.append(error)
        return replies


class BulkConnection:
    """A connection with a single owner, who closes it after any error.

    Raises:
        redis.RedisError: Redis refuses the connection.
        OSError: Redis cannot be reached.
    """

    def __init__(self, url: str) -> None:
        self._connection = bare_connection(url)
        self._connection.connect()
        # redis-py has no public access to the socket, and only the socket reads in bulk.
        self._socket: Any = self._connection._sock
        self._reader = ReplyReader()

    def send(self, commands: Sequence[bytes]) -> None:
        """Send packed commands together.

        Raises:
            OSError: Some of them may have been sent.
        """
        self._socket.settimeout(SOCKET_TIMEOUT)
        self._socket.sendall(b"".join(commands))

    def receive(self, timeout: float) -> bytes:
        """Wait for bytes; return them for `read`.

        Args:
            timeout: Seconds to wait.

        Raises:
            TimeoutError: Nothing arrived in time.
            OSError: The connection is lost.
            redis.RedisError: Redis closed the connection.
        """
        self._socket.settimeout(timeout)
        received: bytes = self._socket.recv(_READ_SIZE)
        if not received:
            raise redis.ConnectionError("it closed the connection")
        return received

    def read(self, received: bytes) -> list[Any]:
        """Parse as `ReplyReader.read` does; also works once the connection is closed."""
        return self._reader.read(received)

    def read_replies(self, count: int) -> None:
        """Wait for the replies to `count` commands.

        Raises:
            redis.RedisError: A command failed, or Redis answered with something else.
            OSError: Replies are missing.
        """
        replies: list[Any] = []
        while len(replies) < count:
            replies += self.read(self.receive(SOCKET_TIMEOUT))
        for reply in replies:
            if isinstance(reply, redis.RedisError):
                raise reply

    def close(self) -> None:
        """Disconnect, even while another thread waits in `receive`."""
        self._connection.disconnect()
