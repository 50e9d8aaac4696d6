"""What is counted, what is refused, and what the reason says."""

import json
import math
import pickle
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis.strategies import text

from app.channels import AGGREGATE
from app.domain import (
    LARGEST_MESSAGE,
    performance_value,
    read_performance,
    read_report,
    read_update,
    stored_symbol,
    to_microseconds,
    to_text,
)
from app.errors import RejectMessage
from tests.system import envelope, report

NOW = to_microseconds("2025-05-15T14:00:00+00:00")
AT = "2025-05-15T13:32:56.582434+00:00"


def read(**fields: Any) -> Any:
    return read_report(envelope(report(**({"timestamp": AT} | fields))).encode(), NOW)[0]


def test_the_message_of_the_contract_is_read_to_the_cent() -> None:
    message = b"""{"data": {"symbol": "SOFI", "total": 28.76, "unrealized": 28.76, "realized": 0.0,
        "converted": 0.0, "timestamp": "2025-05-15T13:32:56.582434+00:00"},
        "timestamp": "2025-05-15T09:32:56.583", "sender": "scale_t"}"""
    found, journal = read_report(message, NOW)
    assert journal is None
    assert found.symbol == "SOFI"
    assert found.sender == "scale_t"
    assert to_text(found.timestamp_us) == AT
    assert found.amounts == (2_876_000_000, 2_876_000_000, 0, 0)
    assert found.key == ""


@pytest.mark.parametrize(
    ("amount", "atoms"),
    [
        (12, 1_200_000_000),
        (12.340000000000002, 1_234_000_000),
        ("12.34", 1_234_000_000),
        ("-1e3", -100_000_000_000),
        (-0.0, 0),
        (1e9, 10**17),
        (-1e9, -(10**17)),
        (123456789.12345678, 12_345_678_912_345_678),
        (0.0000004, 40),
        (0.000000005, 0),
        (0.000000015, 2),
        ("0.0000000050000000000000000000000000000001", 1),
    ],
)
def test_every_form_of_an_amount_is_the_same_money(amount: Any, atoms: int) -> None:
    assert read(total=amount).total == atoms


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2025-05-15T13:32:56.582434+00:00", AT),
        ("2025-05-15T13:32:56.582434Z", AT),
        ("2025-05-15T13:32:56.582434", AT),
        ("2025-05-15 13:32:56.582434", AT),
        ("2025-05-15T09:32:56.582434-04:00", AT),
        ("2025-05-15T13:32:56Z", "2025-05-15T13:32:56.000000+00:00"),
        ("20250515T133256Z", "2025-05-15T13:32:56.000000+00:00"),
        (1747315976, "2025-05-15T13:32:56.000000+00:00"),
        (1747315976.582434, AT),
        (1747315976582, "2025-05-15T13:32:56.582000+00:00"),
        (1747315976582.434, AT),
        (1747315976582434, AT),
        (1747315976582434999, AT),
        ("1747315976.582434999", AT),
        ("1747315976582", "2025-05-15T13:32:56.582000+00:00"),
        ("1747315976582434999", AT),
    ],
)
def test_every_form_of_a_timestamp_is_the_same_moment(written: Any, meant: str) -> None:
    assert to_text(read(timestamp=written).timestamp_us) == meant


@pytest.mark.parametrize(
    ("written", "symbol"),
    [
        ("sofi", "SOFI"),
        ("brk.b", "BRK.B"),
        ("BTC/USD", "BTC/USD"),
        ("0700", "0700"),
        ("a-b", "A-B"),
        (" BRK B\n", "BRK B"),
        ("aapl  230616c00150000", "AAPL  230616C00150000"),
        ("btc/usdt:usdt", "BTC/USDT:USDT"),
        ("^gspc", "^GSPC"),
        ("agg", "AGG"),
        ("\u5e01\u5b89\u4eba\u751fusdt", "\u5e01\u5b89\u4eba\u751fUSDT"),
        ("caf\u00e9", "CAF\u00c9"),
        ("cafe\u0301", "CAF\u00c9"),
        ("stra\u00dfe", "STRASSE"),
        ("\U0001f680", "\U0001f680"),
        ('say "hi" \\', 'SAY "HI" \\'),
        ("x" * 64, "X" * 64),
    ],
)
def test_a_symbol_has_one_spelling(written: str, symbol: str) -> None:
    assert read(symbol=written).symbol == symbol


@given(text(min_size=1, max_size=8))
@example("\u0345\u0301\u03b1\u0345")
@example("\u0390\u0149\u1e96")
def test_the_spelling_of_a_symbol_is_spelt_like_itself(written: str) -> None:
    try:
        symbol = stored_symbol(written)
    except RejectMessage:
        return
    assert stored_symbol(symbol) == symbol
    assert symbol == AGGREGATE or symbol.upper() == symbol
    assert symbol.isprintable()


def test_sender_and_converted_may_be_missing_and_unknown_fields_are_ignored() -> None:
    data = report(timestamp=AT, note={"deep": [1]})
    del data["converted"]
    found, _ = read_report(json.dumps({"data": data, "extra": 1}).encode(), NOW)
    assert (found.sender, found.converted) == ("", 0)


@pytest.mark.parametrize("value", [math.nan, -math.inf, [math.inf, {"a": math.nan}], "\ud83d"])
def test_what_is_not_json_does_no_harm_where_nobody_reads(value: Any) -> None:
    fields = {"fee_rate": value, "note": '"NaN", \\"Infinity'}
    assert read(**fields) == read()
    data = {"type": "price", "symbol": "SOFI", "price": 12.5, "volume": 100, "timestamp": AT}
    assert read_update(envelope(data | fields).encode()) == read_update(envelope(data).encode())


def test_what_is_not_a_number_is_a_null_where_it_would_be_stored() -> None:
    order = {"id": 7, "filled_avg_price": math.nan, "legs": [math.inf, {"qty": -math.inf}]}
    data = {"type": "order", "symbol": "SOFI", "timestamp": math.nan, "order_data": {}}
    message = envelope(data | {"order_data": {"price": math.nan, "qty": 3, "order": order}})
    value = read_update(message.encode()).value
    assert value == {
        "event": None, "price": None, "qty": 3, "position_qty": None, "timestamp": None,
        "order": {"id": 7, "filled_avg_price": None, "legs": [None, {"qty": None}]},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"", "not JSON"),
        (b"hello", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[1]", "wrong form"),
        (b"7", "wrong form"),
        (b"{}", "data"),
        (b'{"data": []}', "wrong form"),
        (b"[1, 2", "not JSON"),
        (b'{"data": {"symbol": "SOFI", "total": NaN}}', "data.total is not finite: NaN"),
        (b'{"data": "\\ud83d"}', r'data must be an object, not "\\ud83d"'),
        (b"[" * 100_000, "oversized"),
        (b"[" * 50_000, "not JSON"),
        (b'{"data": ' + b"[" * 50_000, "not JSON"),
        (b'{"data": ' + b'{"a":' * 10_000 + b"1" + b"}" * 10_001, "oversized|not JSON|wrong form"),
        (b'{"x": "' + b"x" * LARGEST_MESSAGE + b'"}', "oversized"),
    ],
)
def test_what_is_no_report_is_refused_with_its_reason(message: bytes, reason: str) -> None:
    with pytest.raises(RejectMessage, match=reason):
        read_report(message, NOW)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"total": "much"}, "total is not a number"),
        ({"total": "1_000"}, "total is not a number"),
        ({"total": ""}, "total is not a number"),
        ({"total": "nan"}, "total is not a number"),
        ({"total": None}, "total must be a number or text, not null"),
        ({"total": True}, "total must be a number or text, not true"),
        ({"total": [1]}, r"total must be a number or text, not \[1\]"),
        ({"converted": math.nan}, "converted is not finite: NaN"),
        ({"timestamp": -math.inf}, "timestamp is not finite: -Infinity"),
        ({"realized": 1.1e9}, "realized is beyond"),
        ({"realized": -(10**30)}, "realized is beyond"),
        ({"converted": "1e300"}, "converted is beyond"),
        ({"symbol": "aggregate"}, "reserved"),
        ({"symbol": "AgGregate"}, "reserved"),
        ({"symbol": "aGGregatE "}, "reserved"),
        ({"symbol": " "}, "symbol must have 1 to 64 characters, not 0"),
        ({"symbol": "X" * 65}, "symbol must have 1 to 64 characters, not 65"),
        ({"symbol": "\u00df" * 33}, "symbol must have 1 to 64 characters, not 66"),
        ({"symbol": "\u0301\u0323" * 2_500}, "symbol must have 1 to 64 characters, not 5000"),
        ({"symbol": "A\x00B"}, "symbol has a character that does not print, U\\+0000"),
        ({"symbol": "A\nB"}, "symbol has a character that does not print, U\\+000A"),
        ({"symbol": "A\u200bB"}, "symbol has a character that does not print, U\\+200B"),
        ({"symbol": "A\u00a0B"}, "symbol has a character that does not print, U\\+00A0"),
        ({"symbol": 5}, "symbol must be text, not 5"),
        ({"timestamp": "2025-05-15T14:05:00.000001+00:00"}, "future"),
        ({"timestamp": "2025-05-08T13:59:59.999999+00:00"}, "past"),
        ({"timestamp": "2025-05-15"}, "ISO 8601"),
        ({"timestamp": "yesterday"}, "ISO 8601"),
        ({"timestamp": "0001-01-01T00:00:00+23:59"}, "ISO 8601|past"),
        ({"timestamp": ""}, "ISO 8601"),
        ({"timestamp": -1747315976}, "ISO 8601"),
        ({"timestamp": 1e300}, "ISO 8601"),
        ({"timestamp": "20250515"}, "past: 20250515, taken as 1970-08-23T09:08:35"),
        ({"timestamp": 1746315976582}, "past: 1746315976582, taken as 2025-05-03T"),
        ({"timestamp": 1757315976582434}, "future: 1757315976582434, taken as 2025-09-08T"),
        ({"timestamp": "2025-05-15T22:00:00"}, "future.* without an offset is taken as UTC"),
        ({"timestamp": "20250515T220000"}, "future.* without an offset is taken as UTC"),
        ({"timestamp": "2025-05-15T22:00:00Z"}, "future.*check the bot's clock"),
    ],
)
def test_a_report_that_cannot_be_counted_says_which_field_is_wrong(
    fields: dict[str, Any], reason: str
) -> None:
    with pytest.raises(RejectMessage, match=reason):
        read(**fields)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"{" + b" " * LARGEST_MESSAGE, "oversized"),
        (b"hello", "not_json"),
        (b"{}", "wrong_form"),
        (b'{"data": {"total": NaN}}', "amount"),
        (envelope(report(total="much", timestamp=AT)).encode(), "amount"),
        (envelope(report("A\tB", timestamp=AT)).encode(), "symbol"),
        (envelope(report("aggregate", timestamp=AT)).encode(), "symbol"),
        (envelope(report(timestamp=AT), "x" * 129).encode(), "sender"),
        (envelope(report(timestamp="yesterday")).encode(), "timestamp"),
        (envelope(report(timestamp="2025-05-15T15:00:00Z")).encode(), "timestamp"),
    ],
)
def test_a_rejection_carries_the_code_that_metrics_are_labelled_with(
    message: bytes, code: str
) -> None:
    with pytest.raises(RejectMessage) as caught:
        read_report(message, NOW)
    assert caught.value.code == code
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize("timestamp", ["2025-05-15T14:05:00Z", "2025-05-08T14:00:00Z"])
def test_the_limits_of_time_themselves_are_accepted(timestamp: str) -> None:
    assert read(timestamp=timestamp)


def test_a_sender_of_any_text_is_kept_apart_from_every_other() -> None:
    data = report(timestamp=AT)
    senders = ["a", "b", "", "\x00", "ü", '"']
    found = {read_report(envelope(data, sender).encode(), NOW)[0].sender for sender in senders}
    assert found == set(senders)


def test_a_price_becomes_the_fields_of_the_ticker() -> None:
    data = {"type": "price", "symbol": "sofi", "price": 12.5, "volume": 100, "timestamp": AT}
    symbol, key, value = read_update(envelope(data).encode())
    assert (symbol, key) == ("SOFI", "price")
    assert value == {"price": 12.5, "volume": 100, "timestamp": AT}


def test_a_price_is_stored_as_it_came_whatever_its_time_and_size() -> None:
    data = {"symbol": "BTC/IDR", "price": "1712345678.50", "volume": 2**70, "timestamp": "9:31 EST"}
    value = read_update(envelope(data | {"type": "price"}).encode()).value
    assert value == {name: data[name] for name in ("price", "volume", "timestamp")}


@pytest.mark.parametrize("missing", [{}, {"symbol": None}])
def test_the_channel_names_the_ticker_of_a_message_that_does_not(missing: dict[str, Any]) -> None:
    data = {"type": "price", "price": "14.21", "timestamp": 1747774788.102882} | missing
    symbol, key, value = read_update(envelope(data).encode(), "sofi")
    assert (symbol, key) == ("SOFI", "price")
    assert value == {"price": "14.21", "volume": None, "timestamp": 1747774788.102882}


def test_an_order_has_a_place_of_its_own() -> None:
    order = {"id": "4711", "side": "buy"}
    data = {
        "type": "order",
        "symbol": "SOFI",
        "timestamp": AT,
        "order_data": {"event": "fill", "price": 1, "qty": 2, "position_qty": 3, "order": order},
    }
    symbol, key, value = read_update(envelope(data).encode())
    assert (symbol, key) == ("SOFI", "orders/4711")
    assert value == {
        "event": "fill", "price": 1, "qty": 2, "position_qty": 3, "order": order, "timestamp": AT,
    }  # fmt: skip


@pytest.mark.parametrize(
    "data",
    [
        {"type": "split", "symbol": "SOFI", "timestamp": AT},
        {"type": "price", "symbol": "SOFI", "timestamp": AT},
        {"type": "price", "symbol": "SOFI", "price": "x", "timestamp": AT},
        {"type": "price", "symbol": "SOFI", "price": None, "timestamp": AT},
        {"type": "price", "symbol": "SOFI", "price": math.nan, "timestamp": AT},
        {"type": "price", "symbol": "SOFI", "price": 10**400, "timestamp": AT},
        {"type": "price", "symbol": "aggregate", "price": 1, "timestamp": AT},
        {"type": "order", "symbol": "SOFI", "timestamp": AT},
        {
            "type": "order",
            "symbol": "SOFI",
            "timestamp": AT,
            "order_data": {"event": "x", "order": {}},
        },
    ],
)
def test_what_is_neither_price_nor_order_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(RejectMessage):
        read_update(envelope(data).encode())


def test_an_order_that_is_too_deep_for_firebase_is_refused() -> None:
    data = {"type": "order", "symbol": "SOFI", "timestamp": AT}
    order = {"event": "fill", "price": 1, "qty": 2, "position_qty": 3, "order": {"id": 1, "x": 0}}
    message = envelope(data | {"order_data": order})

    def nested(levels: int) -> bytes:
        return message.replace('"x": 0', '"x": ' + "[" * levels + "]" * levels).encode()

    assert read_update(nested(31)).key == "orders/1"
    for levels in (32, 900):
        with pytest.raises(RejectMessage, match="nested"):
            read_update(nested(levels))


def test_a_performance_keeps_exactly_five_fields() -> None:
    data = report("aggregate", timestamp="2025-05-15T13:32:56Z", extra=1)
    symbol, key, value = read_performance(envelope(data).encode())
    assert (symbol, key) == ("aggregate", "performance")
    assert value == {
        "total": 1.0, "unrealized": 1.0, "realized": 0.0, "converted": 0.0,
        "timestamp": "2025-05-15T13:32:56.000000+00:00",
    }  # fmt: skip


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"total": 1},
        None,
        5,
        report(total=float("nan")),
        report(timestamp="0001-01-01T00:00:00+23:59"),
        report(timestamp="9999-12-31T23:59:59-23:59"),
    ],
)
def test_what_is_no_performance_is_refused(data: Any) -> None:
    with pytest.raises(RejectMessage):
        performance_value(data)


def test_an_account_beyond_what_one_report_may_say_is_still_a_performance() -> None:
    assert performance_value(report("aggregate", 3e9))["total"] == 3e9


def test_times_are_written_in_one_form_that_sorts() -> None:
    moments = [datetime(2025, 5, 15, 13, 0, 0, n, tzinfo=UTC) for n in (0, 1, 999_999)]
    texts = [to_text(to_microseconds(moment.isoformat())) for moment in moments]
    assert texts == sorted(texts)
    assert len({len(text) for text in texts}) == 1


@pytest.mark.parametrize(
    ("written", "digits"),
    [
        ("2025-05-15T13:32:56.582434+00:00", ""),
        ("2025-05-15T13:32:56.582434000Z", ""),
        ("2025-05-15T13:32:56.582434001Z", "001"),
        ("2025-05-15T13:32:56.5824340010Z", "001"),
        ("2025-05-15 13:32:56,582434001", "001"),
        ("2025-05-15T09:32:56.582434001-04:00", "001"),
        ("20250515T133256.582434001+00:00", "001"),
        (1_747_315_976_582_434_001, "001"),
        ("1747315976582434001", "001"),
        ("1747315976.582434001", "001"),
        (1_747_315_976_582_434, ""),
        ("2025-05-15T13:32:56.582434" + "0" * 99 + "Z", ""),
        ("2025-05-15T13:32:56.582434000000000001Z", "000000000001"),
    ],
)
def test_all_digits_of_a_time_are_read_however_it_is_written(written: Any, digits: str) -> None:
    found = read(timestamp=written)
    assert (to_text(found.timestamp_us), found.key) == (AT, digits)
    assert found.time_text == AT.replace("+", f"{digits}+")


def test_a_time_of_more_digits_than_a_clock_has_is_refused() -> None:
    with pytest.raises(RejectMessage, match="timestamp has more than 18 decimals"):
        read(timestamp="2025-05-15T13:32:56.5824340000000000001Z")


@pytest.mark.parametrize(
    ("given", "fill_id"),
    [(None, ""), ("", ""), ("  ", ""), (17, "17"), ("17", "17"), (0, "0"), (" a b ", "a b")],
)
def test_a_fill_may_have_an_id_of_its_own(given: Any, fill_id: str) -> None:
    assert read(id=given).fill_id == fill_id


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (1.5, "data.id must be a whole number or text, not 1.5"),
        (True, "data.id must be a whole number or text, not true"),
        (["a"], "data.id must be a whole number or text"),
        ("x" * 129, "id is longer than 128 characters: shorten"),
        (10**129, "id is longer than 128 characters"),
    ],
)
def test_an_id_that_cannot_be_kept_is_refused(given: Any, reason: str) -> None:
    with pytest.raises(RejectMessage, match=re.escape(reason)):
        read(id=given)


def test_a_performance_of_another_program_may_have_any_id() -> None:
    message = json.dumps({"data": report(timestamp=AT, id=[1.5])}).encode()
    assert read_performance(message).symbol == "SOFI"
