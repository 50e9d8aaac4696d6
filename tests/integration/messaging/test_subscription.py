"""A subscription reads its messages however the bytes arrive. The test is the server."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest

from app.dev.processes import wait_until
from app.messaging import Subscription

PATIENCE = 5.0  # less than it takes until a server that says nothing is given up


def confirmed(channel: str, number: int) -> bytes:
    return b"*3\r\n$9\r\nsubscribe\r\n$%d\r\n%b\r\n:%d\r\n" % (
        len(channel),
        channel.encode(),
        number,
    )


def message(channel: str, text: bytes) -> bytes:
    return b"*3\r\n$7\r\nmessage\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (
        len(channel),
        channel.encode(),
        len(text),
        text,
    )


BOTH = confirmed("A", 1) + confirmed("B", 2)


class Server:
    """Answers as Redis does until somebody subscribes; then the test sends what it wants."""

    def __init__(self, *on_subscribing: bytes) -> None:
        self._on_subscribing = on_subscribing or (BOTH,)
        self._server = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []
        self.url = f"redis://127.0.0.1:{self._server.getsockname()[1]}/0"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self._connections[-1].sendall(piece)

    def hang_up(self) -> None:
        self._connections[-1].close()

    def close(self) -> None:
        # Else its thread would go on waiting, and at whatever is opened under the same number.
        self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE)
        for each in (self._server, *self._connections):
            each.close()

    def _run(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                # redis-py introduces itself and expects an OK.
                while b"SUBSCRIBE" not in (request := connection.recv(65536)):
                    connection.sendall(b"+OK\r\n" * request.count(b"*"))
                self._connections.append(connection)
                self.send(*self._on_subscribing)


@pytest.fixture
def listen() -> Iterator[Callable[[Server], Subscription]]:
    with ExitStack() as opened:

        def start(server: Server) -> Subscription:
            opened.callback(server.close)
            subscription = Subscription(server.url, ["A", "B"])
            opened.callback(subscription.close)
            subscription.start()
            return subscription

        yield start


def heard(subscription: Subscription, count: int) -> list[tuple[bytes, bytes]]:
    found: list[tuple[bytes, bytes]] = []

    def is_all() -> bool:
        found.extend(subscription.receive(1, 0.05))
        return len(found) >= count

    wait_until(is_all, PATIENCE, f"{count} messages")
    return found


def wait_until_subscribed_anew(subscription: Subscription) -> None:
    def is_subscribed_anew() -> bool:
        assert not subscription.receive(1, 0.05)
        return subscription.subscriptions == 2

    wait_until(is_subscribed_anew, PATIENCE, "another subscription")


def test_what_comes_before_the_last_channel_is_confirmed_is_heard(
    listen: Callable[[Server], Subscription],
) -> None:
    subscription = listen(Server(confirmed("A", 1), message("A", b"early"), confirmed("B", 2)))
    assert heard(subscription, 1) == [(b"A", b"early")]


def test_a_message_may_come_byte_by_byte(listen: Callable[[Server], Subscription]) -> None:
    server = Server()
    subscription = listen(server)
    text = message("B", b'{"a":\r\n1}')
    server.send(*(text[n : n + 1] for n in range(len(text))))
    assert heard(subscription, 1) == [(b"B", b'{"a":\r\n1}')]


def test_a_torn_message_is_not_mixed_with_the_next_connection(
    listen: Callable[[Server], Subscription],
) -> None:
    server = Server()
    subscription = listen(server)
    server.send(message("A", b"whole") + message("A", b"torn")[:-4])
    assert heard(subscription, 1) == [(b"A", b"whole")]
    server.hang_up()
    wait_until_subscribed_anew(subscription)
    server.send(message("A", b"next"))
    assert heard(subscription, 1) == [(b"A", b"next")]


@pytest.mark.parametrize(
    "refusal", [b"-NOPERM not any more\r\n", b"?what is this\r\n", b":1\r\n", b"*0\r\n"]
)
def test_a_refusal_or_nonsense_makes_it_subscribe_again_and_loses_nothing_before_it(
    listen: Callable[[Server], Subscription], refusal: bytes
) -> None:
    server = Server()
    subscription = listen(server)
    server.send(message("A", b"before") + refusal)
    assert heard(subscription, 1) == [(b"A", b"before")]
    wait_until_subscribed_anew(subscription)
    server.send(message("A", b"after"))
    assert heard(subscription, 1) == [(b"A", b"after")]
