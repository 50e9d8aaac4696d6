"""What a bot imports to publish: `from app.publisher import RedisPublisher`."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from app.channels import PROFIT_REPORT
from app.journal import append, journal_name
from app.redis_client import connect, reaching
from app.settings import process_settings


class RedisPublisher:
    """Publishes a bot's messages, and journals its profit reports.

    A profit report goes to the journal and to its channel in one transaction, so it is counted
    even if the bridge is down, restarting or cut off at that moment. Safe to share by threads.

    Args:
        url: the Redis to publish on; the setting REDIS_URL unless given.
    """

    def __init__(self, url: str | None = None) -> None:
        settings = process_settings()
        self._url = url or settings.redis_url
        self._journal_length = settings.journal_length
        self._client = connect(self._url)
        self._journal = journal_name(self._client)

    def publish(
        self, channel: str, message_data: Mapping[str, Any], sender: str | None = None
    ) -> int:
        """Publish `message_data` in the envelope that every message of this system uses.

        Args:
            channel: such as `PROFIT_REPORT` or `TICKER_UPDATES_SOFI`.
            message_data: what goes under `data`; must be JSON.
            sender: the bot's name; part of the identity of its reports.

        Returns:
            How many listeners the message had on its channel. A profit report is kept for the
            bridge even if there were none.

        Raises:
            RetryLater: Redis cannot be reached. Publishing the same report again is safe: it
                counts once.
            ValueError: an amount is NaN or infinite.
            TypeError: the data is not JSON.
        """
        envelope: dict[str, Any] = {
            "data": dict(message_data),
            "timestamp": datetime.now().isoformat(timespec="milliseconds"),
            "sender": sender,
        }
        with reaching(self._url):
            if channel != PROFIT_REPORT:
                return int(self._client.publish(channel, _encoded(envelope)))
            message = _encoded(envelope | {"journal": self._journal})
            pipeline = self._client.pipeline(transaction=True)
            append(pipeline, message, self._journal_length)
            pipeline.publish(channel, message)
            return int(pipeline.execute()[-1])

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()


def _encoded(envelope: Mapping[str, Any]) -> bytes:
    return json.dumps(envelope, allow_nan=False).encode()
