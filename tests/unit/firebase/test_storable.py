"""What cannot be stored is refused with one line, before anything is sent."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import DEEPEST
from app.errors import RejectMessage
from app.firebase import node_path, storable_slot, storable_update


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def refusal(symbol: Any, key: Any, value: Any = 1) -> str:
    with pytest.raises(RejectMessage) as refused:
        storable_update(symbol, key, value, "desk/services")
    text = str(refused.value)
    assert "\n" not in text
    assert len(text) < 300
    return text


@pytest.mark.parametrize(
    "key", ["", " ", "/", "//", "/performance", "orders", "orders/", "news/", None, 4711, b"price"]
)
def test_what_is_neither_a_name_nor_a_name_with_an_id_is_no_key(key: Any) -> None:
    assert "key" in refusal("SOFI", key)


@pytest.mark.parametrize(
    "key",
    ["performance/total", "performance/", "price/x", "volume/1", "timestamp/a/b", "last_updated/1"],
)
def test_a_node_that_is_stored_as_a_whole_has_no_slots_below_it(key: str) -> None:
    assert "no key" in refusal("SOFI", key, {"total": 1})


@pytest.mark.parametrize("symbol", ["", " ", "\n", None, 7, ["SOFI"], nested(9_999), "\ud800"])
def test_what_is_no_symbol_is_refused(symbol: Any) -> None:
    assert "symbol" in refusal(symbol, "news")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "null"),
        (float("nan"), "nan is not a finite number"),
        ({"deep": [{"x": float("-inf")}]}, "-inf is not a finite number"),
        (Decimal("1.5"), "Decimal"),
        ({"x": {1, 2}}, "set"),
        ({"x": b"1"}, "bytes"),
        ({7: "x"}, "name of a field"),
        ({"x": {"": 1}}, "name of a field"),
        (nested(DEEPEST), "32 levels"),
        (nested(100_000), "32 levels"),
    ],
)
def test_what_is_no_json_that_firebase_can_hold_is_refused(value: Any, reason: str) -> None:
    assert reason in refusal("SOFI", "news/1", value)


@pytest.mark.parametrize("name", ["performance", "orders", "orders/1", "", "a/b", 5])
def test_a_price_sets_nothing_that_other_slots_store(name: Any) -> None:
    assert "no field of a price" in refusal("SOFI", "price", {"price": 1, name: {}})


def test_a_key_is_as_long_as_firebase_takes_it_escaped() -> None:
    assert storable_slot("SOFI", "orders/" + "x" * 768)
    assert "longer" in refusal("SOFI", "orders/" + "x" * 769)
    assert "longer" in refusal("SOFI", "orders/" + "." * 300)


@given(st.text(min_size=1, max_size=200))
def test_an_id_may_hold_any_characters_and_is_one_node(identity: str) -> None:
    symbol, key = storable_slot(" sofi ", f"orders/{identity}")
    assert (symbol, key) == ("SOFI", f"orders/{identity}")
    assert node_path(symbol, key).count("/") == 2


@pytest.mark.parametrize("key", ["news", "news/2025/05", "price", "volume", "Performance"])
def test_the_next_kind_of_data_needs_no_new_task(key: str) -> None:
    value = {"text": "up 3 %", "tags": ["a", None, {"b": (1, 2.5, True)}]}
    assert storable_update("SOFI", key, value, "services") == ("SOFI", key, value)


def test_a_value_may_be_as_deep_as_the_tree_of_firebase() -> None:
    # desk/services/SOFI/news
    assert storable_update("SOFI", "news", nested(DEEPEST - 4), "desk/services")
    assert "32 levels" in refusal("SOFI", "news", nested(DEEPEST - 3))
