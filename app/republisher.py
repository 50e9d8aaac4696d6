"""Publishing what changed, on TICKER_PERFORMANCE_<TICKER>."""

from collections.abc import Sequence
from datetime import datetime

import redis

from app.channels import performance_channel
from app.messages import envelope


class Republisher:
    """Publishes new figures, those of one batch in one round trip."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def publish(self, changes: Sequence[tuple[str, str]]) -> None:
        """Publish the figures of symbols, in order.

        Args:
            changes: symbol (or `aggregate`) and its five fields, as the inside of a JSON object.

        Raises:
            redis.RedisError: perhaps none, some or all were published.
        """
        now = datetime.now().isoformat(timespec="milliseconds")
        pipeline = self._client.pipeline(transaction=False)
        for symbol, fields in changes:
            message = envelope(f'{{"symbol": "{symbol}", {fields}}}', now)
            pipeline.publish(performance_channel(symbol), message)
        pipeline.execute()
