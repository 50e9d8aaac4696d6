"""Celery's way to Redis, with one client in place of a new one for every command.

kombu makes a `redis.Redis` for each message that it sends or acknowledges, and redis-py fills a
table of some hundred entries whenever one is made, which takes longer than the command.
"""

from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis


class Channel(redis.Channel):
    """A channel that keeps the client of its connection pool: apart from that it has no state."""

    _kept: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        if asynchronous:
            # This one is given a connection of its own, to wait for messages.
            return super()._create_client(asynchronous)  # type: ignore[no-untyped-call]
        if self._kept is None or self._kept.connection_pool is not self.pool:
            self._kept = super()._create_client()  # type: ignore[no-untyped-call]
        return self._kept


class Transport(redis.Transport):
    """The transport of such channels."""

    Channel = Channel


def use() -> None:
    """Have this process reach every redis:// and rediss:// broker this way."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:{Transport.__name__}"
