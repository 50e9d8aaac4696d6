"""The transport on a real Redis."""

from kombu.connection import Connection

from app.dev.redis_server import RedisServer
from tasks import transport


def test_commands_share_a_client_for_as_long_as_its_connection_pool_is_the_same(
    redis_server: RedisServer,
) -> None:
    transport.use()
    with Connection(redis_server.url) as connection:
        channel = connection.default_channel
        with channel.conn_or_acquire() as first, channel.conn_or_acquire() as second:
            assert first is second
            assert first.ping()
        channel._disconnect_pools()  # as kombu does when a connection is lost
        with channel.conn_or_acquire() as third:
            assert third is not first
            assert third.ping()


def test_the_client_that_waits_for_messages_is_not_shared(redis_server: RedisServer) -> None:
    transport.use()
    with Connection(redis_server.url) as connection:
        channel = connection.default_channel
        with channel.conn_or_acquire() as shared:
            assert channel.client is not shared
