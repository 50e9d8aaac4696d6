"""Celery's connection to Redis, with one client for all commands of a channel.

kombu makes a `redis.Redis` for each message that it sends or acknowledges. Making one takes 55 us,
since redis-py fills a table of 170 entries, and that is longer than the command. Sharing one
gives 7 % more reports/s with 1,000 symbols; docs/decisions/0019-own-celery-transport.md has the
figures. No private members of kombu are touched.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis


class SharedClientChannel(redis.Channel):
    """A channel whose commands share a client for as long as its connection pool is the same."""

    shared_client: Any = None

    @contextmanager
    def conn_or_acquire(self, client: Any = None) -> Iterator[Any]:
        if client is None:
            if self.shared_client is None or self.shared_client.connection_pool is not self.pool:
                self.shared_client = self.Client(connection_pool=self.pool)
            client = self.shared_client
        yield client


class SharedClientTransport(redis.Transport):
    """The Redis transport, with such channels."""

    Channel = SharedClientChannel


def use() -> None:
    """Have this process reach every redis:// and rediss:// broker through this transport."""
    # Not by the setting broker_transport: Celery would name the class in place of the URL in logs.
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:{SharedClientTransport.__name__}"
