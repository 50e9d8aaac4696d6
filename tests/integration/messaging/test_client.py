"""Connections to a real Redis."""

import time
from pathlib import Path

import pytest
import redis

from app.dev.redis_server import start_redis
from app.messaging import Received, Subscription, connect
from app.publisher.connection import PublisherConnection, connection_options
from tests.system import wait_until


def test_a_redis_behind_a_socket_file_can_be_asked_and_listened_to(tmp_path: Path) -> None:
    socket = tmp_path / "redis.sock"
    server = start_redis(tmp_path, options=("--unixsocket", str(socket)))
    url = f"unix://{socket}?db=1"
    subscription = Subscription(url, ["PROFIT_REPORT"])
    try:
        subscription.start()
        with connect(url) as client:
            assert client.publish("PROFIT_REPORT", "a report") == 1
        received: list[Received] = []

        def has_arrived() -> bool:
            received.extend(subscription.receive(1, 0.1))
            return bool(received)

        wait_until(has_arrived, "the report")
        assert received == [(b"PROFIT_REPORT", b"a report")]
    finally:
        subscription.close()
        server.end()


def test_what_leads_to_a_replica_is_left_and_connected_anew(tmp_path: Path) -> None:
    server = start_redis(tmp_path)
    publisher = PublisherConnection(connection_options(server.url))
    try:
        with connect(server.url) as client, connect(server.url) as switch:
            before = client.client_id()
            publisher.connect()
            switch.replicaof("127.0.0.1", 1)
            with pytest.raises(redis.exceptions.ReadOnlyError):
                client.set("key", 1)
            write = publisher.pack([("SET", "key", 1)])
            with pytest.raises(redis.exceptions.ReadOnlyError):
                publisher.exchange(write, 1, time.monotonic() + 2)
            assert client.client_id() != before
            assert not publisher.is_connected
    finally:
        publisher.disconnect()
        server.end()
