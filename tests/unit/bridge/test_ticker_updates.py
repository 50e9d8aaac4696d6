"""The latest value of each slot is taken from what is published."""

import json

from app.bridge.ticker_updates import latest_values
from app.channels import RedisNames


def _message(**data: object) -> bytes:
    return json.dumps({"data": data}).encode()


def _price(symbol: str, price: float) -> bytes:
    now = "2025-05-15T13:32:56+00:00"
    return _message(type="price", symbol=symbol, price=price, volume=1, timestamp=now)


def test_the_last_value_of_a_slot_counts_and_what_is_no_value_comes_with_its_reason() -> None:
    values, rejected = latest_values(
        [
            (b"TICKER_UPDATES_SOFI", _price("SOFI", 1)),
            (b"TICKER_UPDATES_AMD", _price("AMD", 3)),
            (b"TICKER_UPDATES_SOFI", _price("SOFI", 2)),
            (b"TICKER_UPDATES_SOFI", b"{"),
            (b"SOMETHING_ELSE", b"{"),
        ],
        RedisNames(""),
    )
    prices = {slot: json.loads(value)["price"] for slot, value in values.items()}
    assert prices == {("SOFI", "price"): 2, ("AMD", "price"): 3}
    (refused,) = rejected
    assert refused[:2] == (b"TICKER_UPDATES_SOFI", b"{")
    assert refused.error.code == "not_json"


def test_a_channel_that_names_no_ticker_costs_only_the_message_that_needs_it() -> None:
    unnamed = _message(type="price", price=1)
    values, rejected = latest_values(
        [(b"TICKER_UPDATES_\xff", unnamed), (b"TICKER_UPDATES_\xff", _price("SOFI", 2))],
        RedisNames(""),
    )
    assert set(values) == {("SOFI", "price")}
    assert [(one.message, one.error.code) for one in rejected] == [(unnamed, "symbol")]
