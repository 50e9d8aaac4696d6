"""What is remembered, and what is not."""

import pytest

from app.domain import Cache


def test_a_key_is_asked_for_once() -> None:
    asked = []

    def length(text: str) -> int:
        asked.append(text)
        return len(text)

    cache = Cache(length)
    assert [cache["SOFI"], cache["F"], cache["SOFI"]] == [4, 1, 4]
    assert asked == ["SOFI", "F"]


def test_an_error_is_not_remembered() -> None:
    known: dict[str, int] = {}
    cache = Cache(known.__getitem__)
    with pytest.raises(KeyError):
        cache["SOFI"]
    known["SOFI"] = 4
    assert cache["SOFI"] == 4


def test_it_never_holds_more_than_its_limit() -> None:
    cache = Cache(str, limit=3)
    for number in range(100):
        assert cache[number] == str(number)
        assert len(cache) <= 3
