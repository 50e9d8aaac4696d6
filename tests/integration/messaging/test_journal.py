"""The journal tells what it dropped before it was read, and another journal from its own."""

from collections.abc import Iterator
from zlib import crc32

import pytest
import redis

from app.channels import RedisNames
from app.messaging import START, Dropped, Journal, Position, connect
from tests.system import JOURNAL


def position(entry: str, count: int | None, message: bytes | None) -> str:
    return str(Position(entry, count, None if message is None else crc32(message)))


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with connect(redis_url) as client:
        yield client


@pytest.fixture
def journal(client: redis.Redis) -> Journal:
    return Journal(client, RedisNames(""))


def add(client: redis.Redis, first: int, last: int, message: str = "{}") -> None:
    for number in range(first, last + 1):
        client.xadd(JOURNAL, {"message": message}, id=f"{number}-0")


def test_its_name_tells_the_database() -> None:
    client = connect("redis://h/3")
    assert Journal(client, RedisNames("")).name == "3:profit-bridge:journal"


def test_it_is_read_on_from_where_it_was_read(client: redis.Redis, journal: Journal) -> None:
    empty = journal.read(START, 5)
    assert (empty.entries, empty.position) == ([], position(START, 0, None))
    add(client, 1, 7)
    first = journal.read(empty.position, 5)
    assert [entry.position for entry in first.entries] == [f"{n}-0" for n in range(1, 6)]
    assert first.position == position("5-0", 5, b"{}")
    second = journal.read(first.position, 5)
    assert [entry.position for entry in second.entries] == ["6-0", "7-0"]
    journal.trim(second.position)
    assert journal.read(second.position, 5) == ([], second.position, False, None)


@pytest.mark.parametrize("was_read", [0, 2])
def test_it_tells_how_many_entries_it_dropped_unread(
    client: redis.Redis, journal: Journal, was_read: int
) -> None:
    add(client, 1, was_read)
    before = journal.read(START, 10).position
    add(client, was_read + 1, 9)
    client.xtrim(JOURNAL, maxlen=3, approximate=False)
    reading = journal.read(before, 10)
    assert [entry.position for entry in reading.entries] == ["7-0", "8-0", "9-0"]
    assert reading.dropped == Dropped(6 - was_read, was_read, 7)
    assert not reading.is_other
    assert journal.read(reading.position, 10).dropped is None


@pytest.mark.parametrize("version", ["of an older program", "of a Redis before 7.0"])
def test_where_nobody_counted_it_tells_the_times(
    client: redis.Redis, journal: Journal, version: str
) -> None:
    add(client, 1, 9)
    if "Redis" in version:
        client.set_response_callback(
            "XINFO STREAM", lambda _: {"last-generated-id": b"9-0", "first-entry": [b"7-0", []]}
        )
    client.xtrim(JOURNAL, maxlen=3, approximate=False)
    reading = journal.read("2-0", 10)
    assert len(reading.entries) == 3
    assert reading.dropped == Dropped(None, 2, 7)


@pytest.mark.parametrize("first", [1, 3, 5, 9])
@pytest.mark.parametrize("is_counted", [True, False])
def test_another_journal_is_read_from_its_start_whatever_its_clock_is(
    client: redis.Redis, journal: Journal, first: int, is_counted: bool
) -> None:
    add(client, 2, 5)
    before = journal.read(START, 10).position
    client.delete(JOURNAL)
    add(client, first, first + 2, "other")
    reading = journal.read(before if is_counted else position("5-0", None, b"{}"), 10)
    assert len(reading.entries) == 3
    if is_counted:
        assert (reading.is_other, reading.dropped) == (True, None)
    assert journal.read(reading.position, 10).entries == []


def test_a_journal_that_is_gone_is_read_from_its_start_once_it_is_there(
    client: redis.Redis, journal: Journal
) -> None:
    add(client, 5, 9)
    before = journal.read(START, 10).position
    client.delete(JOURNAL)
    gone = journal.read(before, 10)
    assert (gone.entries, gone.is_other, gone.dropped) == ([], True, None)
    add(client, 1, 2)
    assert len(journal.read(gone.position, 10).entries) == 2


def test_an_entry_without_a_message_is_an_empty_message(
    client: redis.Redis, journal: Journal
) -> None:
    client.xadd(JOURNAL, {"other": "1", "message": "{}"}, id="1-0")
    client.xadd(JOURNAL, {"other": "1"}, id="2-0")
    assert [entry.message for entry in journal.read(START, 5).entries] == [b"{}", b""]
