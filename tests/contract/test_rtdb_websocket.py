"""The websocket where no well-behaved SDK tries it; tests/front_end has what the SDK does."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from app.dev.rtdb.http import MAX_UNREAD_STREAM_BYTES, TOO_BIG
from app.dev.rtdb.session import NOT_UNDERSTOOD
from app.dev.rtdb.tree import hash_of
from app.dev.rtdb.websocket import MAX_MESSAGE_BYTES, split
from tests.contract.conftest import PATIENCE, ServerProcess, eventually


class Socket:
    """One connection, after the greeting."""

    def __init__(self, connection: WebSocketClientConnection) -> None:
        self._connection = connection

    async def say(self, *frames: str) -> None:
        for frame in frames:
            await self._connection.write_message(frame)

    async def request(self, number: int, action: str, body: Any) -> None:
        message = {"t": "d", "d": {"r": number, "a": action, "b": body}}
        await self.say(*split(json.dumps(message)))

    async def hear(self) -> Any:
        """The next message, which must be a single frame; None once the connection is closed."""
        frame = await asyncio.wait_for(self._connection.read_message(), PATIENCE)
        return None if frame is None else json.loads(frame)

    async def answer(self, action: str, body: Any) -> Any:
        """What a request is answered, if that comes next."""
        await self.request(7, action, body)
        message = await self.hear()
        assert message["d"]["r"] == 7
        return message["d"]["b"]


def talk(server: ServerProcess, say: Callable[[Socket], Awaitable[None]]) -> None:
    """Connect, and have the conversation."""

    async def connected() -> None:
        url = f"ws://127.0.0.1:{server.port}/.ws?v=5&ns=contract"
        connection = await websocket_connect(url)
        socket = Socket(connection)
        greeting = await socket.hear()
        assert greeting["d"]["t"] == "h"
        assert greeting["d"]["d"]["h"] == f"127.0.0.1:{server.port}"
        await say(socket)
        connection.close()

    asyncio.run(connected())


def test_a_message_may_come_in_frames_between_keep_alives(server: ServerProcess) -> None:
    async def conversation(socket: Socket) -> None:
        text = json.dumps({"t": "d", "d": {"r": 1, "a": "s", "b": {"c": {}}}})
        await socket.say("0", "3", text[:5], text[5:20], text[20:], "0", '{"t":"c","d":{"t":"p"}}')
        assert await socket.hear() == {"t": "d", "d": {"r": 1, "b": {"s": "ok", "d": {}}}}
        assert await socket.hear() == {"t": "c", "d": {"t": "o", "d": {}}}

    talk(server, conversation)


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        (["no JSON"], NOT_UNDERSTOOD),
        (["2", '{"t":', "!"], NOT_UNDERSTOOD),
        (split("x" * (MAX_MESSAGE_BYTES + 1)), TOO_BIG),
    ],
    ids=["no JSON", "frames", "too big"],
)
def test_what_is_no_message_is_told_and_ends_the_connection(
    server: ServerProcess, frames: list[str], reason: str
) -> None:
    async def conversation(socket: Socket) -> None:
        await socket.say(*frames)
        assert await socket.hear() == {"t": "c", "d": {"t": "s", "d": reason}}
        assert await socket.hear() is None

    talk(server, conversation)


def test_a_client_hears_of_its_own_write_before_that_is_acknowledged(
    server: ServerProcess,
) -> None:
    async def conversation(socket: Socket) -> None:
        await socket.request(1, "q", {"p": "/own", "h": ""})
        assert (await socket.hear())["d"]["b"] == {"p": "/own", "d": None}
        assert (await socket.hear())["d"]["r"] == 1
        await socket.request(2, "p", {"p": "/own/a", "d": 1})
        assert (await socket.hear())["d"] == {"a": "d", "b": {"p": "/own/a", "d": 1}}
        assert (await socket.hear())["d"] == {"r": 2, "b": {"s": "ok", "d": {}}}

    talk(server, conversation)
    server.http("DELETE", "/own.json?ns=contract")


def test_a_request_that_is_not_known_is_refused_and_not_ignored(server: ServerProcess) -> None:
    async def conversation(socket: Socket) -> None:
        for action, body in (("zz", {}), ("zz", {"p": "/a"}), ("p", {"p": "/a"}), ("auth", {})):
            assert (await socket.answer(action, body))["s"] == "unsupported"
        await socket.say('{"t":"d","d":{"r":1}}')
        assert (await socket.hear())["d"]["t"] == "e"

    talk(server, conversation)


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("p", {"p": "/a.b", "d": 1}),
        ("p", {"p": "/a", "d": {"b$": 1}}),
        ("m", {"p": "/a", "d": 1}),
        ("m", {"p": "/a", "d": {"b": 1, "b/c": 2}}),
        ("g", {"p": "/a", "q": {"i": 5}}),
        ("g", {"p": "/a", "q": {"sp": {}}}),
        ("q", {"p": "/a", "q": {"l": "1"}, "t": 1}),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(
    server: ServerProcess, action: str, body: Any
) -> None:
    async def conversation(socket: Socket) -> None:
        assert (await socket.answer(action, body))["s"] == "invalid"

    talk(server, conversation)
    assert server.http("GET", "/a.json?ns=contract").json() is None


def test_only_the_owner_and_readable_tokens_are_let_in(server: ServerProcess) -> None:
    async def conversation(socket: Socket) -> None:
        assert (await socket.answer("gauth", {"cred": "owner"}))["s"] == "ok"
        assert (await socket.answer("auth", {"cred": "eyJ9.eyJzdWIiOiJhbGljZSJ9."}))["s"] == "ok"
        assert (await socket.answer("unauth", {}))["s"] == "ok"
        assert (await socket.answer("auth", {"cred": "a.b.c"}))["s"] == "permission_denied"

    talk(server, conversation)


def test_a_listener_that_knows_the_data_is_not_sent_it_again(server: ServerProcess) -> None:
    server.http("PUT", "/known.json?ns=contract", json={"a": 1})

    async def conversation(socket: Socket) -> None:
        await socket.request(1, "q", {"p": "/known", "h": hash_of({"a": 2})})
        assert (await socket.hear())["d"]["b"] == {"p": "/known", "d": {"a": 1}}
        assert (await socket.hear())["d"]["b"]["s"] == "ok"
        assert (await socket.answer("q", {"p": "/known", "h": hash_of({"a": 1})}))["s"] == "ok"

    talk(server, conversation)


def test_a_client_that_does_not_read_is_cut_off(server: ServerProcess) -> None:
    part = "x" * 2**20 * 8

    async def conversation(socket: Socket) -> None:
        before = server.control()["streams"]
        await socket.request(1, "q", {"p": "/slow", "h": ""})
        eventually(lambda: server.control()["streams"] == before + 1, "listener")
        # Nothing is read meanwhile: these calls do not let the loop run.
        for turn in range(3 + MAX_UNREAD_STREAM_BYTES // len(part)):
            server.http("PUT", "/slow.json?ns=contract&print=silent", json=f"{turn}{part}")
        eventually(lambda: server.control()["streams"] == before, "end of the listener")

    talk(server, conversation)
    server.http("DELETE", "/slow.json?ns=contract")
