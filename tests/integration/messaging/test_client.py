"""Connections to a real Redis."""

from pathlib import Path

from app.dev.redis_server import start_redis
from app.messaging import Received, Subscription, connect
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
