"""Publishing what changed, on TICKER_PERFORMANCE_<TICKER>."""

from collections.abc import Iterable
from datetime import datetime

from app.channels import SENDER, TICKER_PERFORMANCE
from app.domain import Cache, RenderedFigures
from app.messaging import BulkConnection


class PerformancePublisher:
    """Publishes new figures, those of one batch in one round trip.

    Sending and waiting for the answers are two steps, between which the caller can go on.

    Args:
        url: the Redis to publish on; connected to when there is something to publish.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._wire: BulkConnection | None = None
        self.unanswered = 0
        """Messages that were sent, and that Redis has not said it has published."""

    def send(self, records: Iterable[RenderedFigures]) -> None:
        """Send the figures of symbols, to be published in order.

        Raises:
            redis.RedisError: perhaps none, some or all were published; so it is with what had no
                answer yet, and nothing is unanswered any more.
            OSError: the same.
        """
        now = datetime.now().isoformat(timespec="milliseconds")
        end = f', "timestamp": "{now}", "sender": "{SENDER}"}}'.encode()
        # The symbol goes in front of the first field, in place of the bracket.
        around = len(_BEGIN) + len(_NEXT) - len("{") + len(end)
        end += b"\r\n"
        parts: list[bytes] = []
        count = 0
        for symbol, fields in records:
            name = symbol.encode()
            length = around + len(name) + len(fields)
            parts += (
                _publish[len(name)],
                name.upper(),
                _message[length],
                name,
                _NEXT,
                fields[1:],
                end,
            )
            count += 1
        try:
            if self._wire is None:
                self._wire = BulkConnection(self._url)
            self._wire.send(b"".join(parts))
            self.unanswered += count
        except BaseException:
            self.close()
            raise

    def confirm(self) -> None:
        """Wait until all that was sent is published.

        Raises:
            redis.RedisError: as for `send`.
            OSError: as for `send`.
        """
        if self._wire is None:
            return
        try:
            self._wire.answers(self.unanswered)
            self.unanswered = 0
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the connection back."""
        self.unanswered = 0
        if self._wire is not None:
            self._wire.close()
            self._wire = None


_BEGIN = '{"data": {"symbol": "'
_NEXT = b'", '

# What a command is made of, by the length that it names; its channel is `performance_channel`'s.
# Not by symbol: to find one of thousands in memory takes longer than to put a few pieces together.
_publish = Cache[int, bytes](
    lambda length: (
        f"*3\r\n$7\r\nPUBLISH\r\n${len(TICKER_PERFORMANCE) + length}\r\n{TICKER_PERFORMANCE}"
    ).encode()
)
_message = Cache[int, bytes](lambda length: f"\r\n${length}\r\n{_BEGIN}".encode())
