"""The journal's positions are compared by number, and entries may have any fields."""

from typing import Any

import pytest

from app.channels import RedisNames
from app.messaging import START, Journal, connect


class FakeRedis:
    """A client whose stream has one entry."""

    def __init__(self, end: bytes | None, fields: list[bytes] | None = None) -> None:
        self.connection_pool = connect("redis://h/3").connection_pool
        self._end = end
        self._fields = fields or []

    def set_response_callback(self, *_: object) -> None:
        pass

    def exists(self, _: str) -> bool:
        return self._end is not None

    def xinfo_stream(self, _: str) -> dict[str, bytes | None]:
        return {"last-generated-id": self._end}

    def xrange(self, *_: object, **__: object) -> Any:
        return [(self._end, self._fields)]


def journal(end: bytes | None, fields: list[bytes] | None = None) -> Journal:
    client: Any = FakeRedis(end, fields)
    return Journal(client, RedisNames(""))


def test_its_name_tells_the_database() -> None:
    assert journal(None).name == "3:profit-bridge:journal"


@pytest.mark.parametrize(
    ("end", "position", "ends_before"),
    [
        (None, START, False),
        (None, "5-1", True),
        (b"9-0", "10-0", True),
        (b"10-9", "10-10", True),
        (b"10-10", "10-10", False),
        (b"11-0", "10-10", False),
    ],
)
def test_it_ends_before_a_position_by_number(
    end: bytes | None, position: str, ends_before: bool
) -> None:
    assert journal(end).ends_before(position) is ends_before


def test_an_entry_without_a_message_is_an_empty_message() -> None:
    (read,) = journal(b"1-0", [b"other", b"1", b"message", b"{}"]).read(START, 1)
    assert (read.position, read.message) == ("1-0", b"{}")
    (empty,) = journal(b"1-0", [b"other", b"1"]).read(START, 1)
    assert empty.message == b""
