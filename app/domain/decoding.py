"""Messages of other programs: bytes in, a typed value or a RejectMessage out.

A report of a fill (PROFIT_REPORT), a performance (TICKER_PERFORMANCE_*), a price or an order
(TICKER_UPDATES_*). Their types are in `schemas`; `docs/asyncapi.yaml` describes them to others.
"""

import json
import math
from typing import Any

import msgspec

from app.domain.amounts import not_a_number, to_atoms
from app.domain.model import FIELDS, ID, OF_ITS_OWN, PERFORMANCE, ProfitReport, Update
from app.domain.reasons import as_json, not_json, wrong_form
from app.domain.schemas import (
    LONGEST_ID,
    LONGEST_SENDER,
    OrderData,
    PerformanceData,
    PerformanceEnvelope,
    PriceData,
    ReportEnvelope,
    UpdateEnvelope,
)
from app.domain.symbols import reported_symbols, stored_symbol
from app.domain.times import report_time, to_microseconds, to_text
from app.errors import RejectMessage

LARGEST_MESSAGE = 64 * 1024
"""Bytes; a report has about 250."""

DEEPEST = 32
"""Levels that a tree in Firebase may have."""

_decode_report = msgspec.json.Decoder(ReportEnvelope).decode
_decode_performance = msgspec.json.Decoder(PerformanceEnvelope).decode
_decode_update = msgspec.json.Decoder(UpdateEnvelope).decode


def read_report(
    message: bytes, now: int, publication: int = OF_ITS_OWN
) -> tuple[ProfitReport, str | None]:
    """Decode a report; also return the name of the journal, if the message is there too.

    Args:
        message: A message of PROFIT_REPORT or of the journal.
        now: Microseconds since 1970 UTC, to reject times that are far off.
        publication: As in ProfitReport.

    Raises:
        RejectMessage: The message cannot be counted; the text says why.
    """
    envelope = _decoded(_decode_report, message)
    data = envelope.data
    timestamp_us, digits = report_time(data.timestamp, now)
    sender = envelope.sender or ""
    if len(sender) > LONGEST_SENDER:
        raise RejectMessage(
            "sender",
            f"sender is longer than {LONGEST_SENDER} characters: shorten {sender[:40]!r}...",
        )
    report = ProfitReport(
        reported_symbols[data.symbol],
        sender,
        timestamp_us,
        to_atoms(data.total, "total"),
        to_atoms(data.unrealized, "unrealized"),
        to_atoms(data.realized, "realized"),
        to_atoms(data.converted, "converted"),
        digits if data.id is None else _id_key(data.id) or digits,
        publication,
    )
    return report, envelope.journal


def _id_key(given: str | int) -> str:
    """Return the key of a report whose fill has an id; an empty id is none."""
    fill_id = str(given).strip()
    if len(fill_id) > LONGEST_ID:
        raise RejectMessage(
            "wrong_form",
            f"id is longer than {LONGEST_ID} characters: shorten {fill_id[:40]!r}...",
        )
    return fill_id and ID + fill_id


def read_performance(message: bytes) -> Update:
    """Decode a TICKER_PERFORMANCE message.

    Raises:
        RejectMessage: The message is not a performance.
    """
    data = _decoded(_decode_performance, message).data
    return Update(stored_symbol(data.symbol), PERFORMANCE, _performance(data))


def read_update(message: bytes, ticker: str = "") -> Update:
    """Decode a TICKER_UPDATES message: a price or an order.

    A null in it is a node that is not there.

    Args:
        message: As it was published.
        ticker: What the channel names, for a message without a symbol.

    Raises:
        RejectMessage: The message is neither, or cannot be stored.
    """
    data = _decoded(_decode_update, message).data
    symbol = reported_symbols[ticker if data.symbol is None else data.symbol]
    if isinstance(data, PriceData):
        _to_float(data.price, "price")
        value = {"price": data.price, "volume": data.volume, "timestamp": data.timestamp}
        return Update(symbol, "price", value)
    return _order(symbol, data)


def _order(symbol: str, data: OrderData) -> Update:
    order_id = data.order_data.order.get("id")
    if not isinstance(order_id, str | int) or isinstance(order_id, bool) or order_id == "":
        raise RejectMessage(
            "wrong_form",
            f"the id of the order must be text or a whole number, not {as_json(order_id)}",
        )
    if _is_deeper(data.order_data.order, DEEPEST):
        # Firebase would refuse it, and json, which can just read it, may fail to write it.
        raise RejectMessage(
            "wrong_form",
            f"order_data.order is nested more than {DEEPEST} levels deep: leave the innermost out",
        )
    value = msgspec.structs.asdict(data.order_data) | {"timestamp": data.timestamp}
    return Update(symbol, f"orders/{order_id}", value)


def _is_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(each, levels - 1) for each in inner)


def performance_value(data: Any) -> dict[str, Any]:
    """Check the five fields of a performance, and leave out all others.

    Raises:
        RejectMessage: A field is missing or has the wrong type.
    """
    try:
        return _performance(msgspec.convert({"symbol": ""} | dict(data), PerformanceData))
    except msgspec.ValidationError as error:
        raise wrong_form(error, data) from None
    except (TypeError, ValueError):
        raise RejectMessage(
            "wrong_form", f"a performance must be an object, not {as_json(data)}"
        ) from None


def _performance(data: PerformanceData) -> dict[str, Any]:
    fields: dict[str, Any] = {name: _to_float(getattr(data, name), name) for name in FIELDS}
    fields["timestamp"] = to_text(to_microseconds(data.timestamp))
    return fields


def _to_float(amount: float | str, field: str) -> float:
    try:
        number = float(amount)
    except (ValueError, OverflowError):
        raise not_a_number(amount, field) from None
    if not math.isfinite(number):
        raise not_a_number(amount, field)
    return number


def _decoded(decode: Any, message: bytes) -> Any:
    if len(message) > LARGEST_MESSAGE:
        raise RejectMessage(
            "oversized",
            f"oversized: {len(message)} bytes, at most {LARGEST_MESSAGE}: leave out what nobody "
            "reads",
        )
    try:
        return decode(message)
    except msgspec.ValidationError as error:
        raise wrong_form(error, message) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # Python's json module writes NaN and Infinity, which are not JSON, so bots send them.
        strict = _without_nan(message)
        try:
            return decode(strict)
        except msgspec.ValidationError as wrong:
            raise wrong_form(wrong, message) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise not_json(error, message) from None


def _without_nan(message: bytes) -> bytes:
    """Return a message of Python's json module as JSON; empty if it is not that either.

    What is not a finite number becomes null: where a number is needed, the message is refused, and
    elsewhere there is none.
    """
    try:
        value = json.loads(message.decode(), parse_constant=lambda _: None)
        # Half of a surrogate pair stays what it was, invalid wherever it is read.
        return json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass")
    except (ValueError, RecursionError):
        return b""
