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

    def publish(self, changes: Iterable[tuple[str, str]]) -> None:
        """Publish the figures of symbols, in order.

        Args:
            changes: symbol (or `aggregate`) and its five fields, as the inside of a JSON object.

        Raises:
            redis.RedisError: perhaps none, some or all were published.
            OSError: the same.
        """
        # Packed by hand, as Redis reads it. All of it is ASCII: a letter is a byte.
        now = datetime.now().isoformat(timespec="milliseconds")
        end = f'}}, "timestamp": "{now}", "sender": "{SENDER}"}}'
        commands = []
        for symbol, fields in changes:
            command, begin = _beginning(symbol)
            message = f"{begin}{fields}{end}"
            commands.append(f"{command}{len(message)}\r\n{message}\r\n")
        try:
            if self._wire is None:
                self._wire = Wire(self._url)
            self._wire.send("".join(commands).encode("ascii"))
            self._wire.answers(len(commands))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the connection back."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None


@lru_cache(maxsize=65_536)
def _beginning(symbol: str) -> tuple[str, str]:
    """The command up to the length of the message, and the message up to its figures."""
    channel = performance_channel(symbol)
    command = f"*3\r\n$7\r\nPUBLISH\r\n${len(channel)}\r\n{channel}\r\n$"
    return command, f'{{"data": {{"symbol": "{symbol}", '
