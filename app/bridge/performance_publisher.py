"""Publishing changed figures on TICKER_PERFORMANCE_<TICKER>."""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from app.channels import SENDER
from app.domain import RenderedFigures
from app.messaging import BulkConnection, pack
from app.settings import Settings

_encode = msgspec.json.Encoder().encode


class PerformancePublisher:
    """Publishes the figures of one batch in one round trip.

    Sending and waiting for the replies are two steps, so that the caller can work in between.

    Args:
        settings: The Redis to publish on, and the names there. It is connected to when there is
            something to publish.
    """

    def __init__(self, settings: Settings) -> None:
        self._url = settings.redis_url
        self._channel = settings.names.performance_channel
        self._connection: BulkConnection | None = None
        self.unconfirmed = 0
        """Messages that were sent and that Redis has not confirmed yet."""

    def send(self, figures: Iterable[RenderedFigures]) -> None:
        """Send figures, to be published in order.

        Raises:
            redis.RedisError, OSError: None, some or all of the unconfirmed messages were
                published. Nothing is unconfirmed any more.
        """
        now = datetime.now().isoformat(timespec="milliseconds")
        end = f', "timestamp": "{now}", "sender": "{SENDER}"}}'.encode()
        # The symbol goes before the first field, in place of the opening bracket.
        commands = [
            pack(
                (
                    "PUBLISH",
                    self._channel(symbol),
                    b"".join((b'{"data": {"symbol": ', _encode(symbol), b", ", fields[1:], end)),
                )
            )
            for symbol, fields in figures
        ]
        try:
            if self._connection is None:
                self._connection = BulkConnection(self._url)
            self._connection.send(commands)
            self.unconfirmed += len(commands)
        except BaseException:
            self.close()
            raise

    def confirm(self) -> None:
        """Wait until everything that was sent is published.

        Raises:
            redis.RedisError, OSError: As for `send`.
        """
        if self._connection is None:
            return
        try:
            self._connection.read_replies(self.unconfirmed)
            self.unconfirmed = 0
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self.unconfirmed = 0
        if self._connection is not None:
            self._connection.close()
            self._connection = None
