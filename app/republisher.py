"""Publishing what changed, on TICKER_PERFORMANCE_<TICKER>."""

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache

from app.channels import performance_channel
from app.messages import SENDER
from app.wire import Wire


class Republisher:
    """Publishes new figures, those of one batch in one round trip.

    Args:
        url: the Redis to publish on; connected to when there is something to publish.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._wire: Wire | None = None

    def publish(self, changes: Iterable[tuple[str, bytes]]) -> None:
        """Publish the figures of symbols, in order.

        Args:
            changes: symbol (or `aggregate`), and its five fields as JSON.

        Raises:
            redis.RedisError: perhaps none, some or all were published.
            OSError: the same.
        """
        now = datetime.now().isoformat(timespec="milliseconds")
        end = f', "timestamp": "{now}", "sender": "{SENDER}"}}'.encode()
        parts: list[bytes] = []
        count = 0
        for symbol, fields in changes:
            command, begin = _beginning(symbol)
            # The symbol goes in front of the first field, in place of the bracket.
            length = len(begin) + len(fields) - 1 + len(end)
            parts += (command, b"%d\r\n" % length, begin, fields[1:], end, b"\r\n")
            count += 1
        try:
            if self._wire is None:
                self._wire = Wire(self._url)
            self._wire.send(b"".join(parts))
            self._wire.answers(count)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the connection back."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None


@lru_cache(maxsize=65_536)
def _beginning(symbol: str) -> tuple[bytes, bytes]:
    """The command up to the length of the message, and the message up to its figures."""
    channel = performance_channel(symbol)
    command = f"*3\r\n$7\r\nPUBLISH\r\n${len(channel)}\r\n{channel}\r\n$"
    return command.encode(), f'{{"data": {{"symbol": "{symbol}", '.encode()
