"""The messages that pass through: bytes in, a typed value or a RejectMessage out.

A report of a fill (PROFIT_REPORT), a performance (TICKER_PERFORMANCE_*), a price or an order
(TICKER_UPDATES_*): their forms are in `forms`, and for other programs in `docs/asyncapi.yaml`.
"""

import math
import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import msgspec

from app.channels import AGGREGATE
from app.domain.amounts import to_millionths
from app.domain.cache import Cache
from app.domain.schemas import (
    LONGEST_SENDER,
    SYMBOL,
    PerformanceEnvelope,
    PriceData,
    ReportData,
    ReportEnvelope,
    UpdateEnvelope,
)
from app.errors import RejectMessage

LARGEST_MESSAGE = 64 * 1024
"""Bytes; a report has about 250."""

DEEPEST = 32
"""Levels that a tree in Firebase may have."""

AHEAD_LIMIT = timedelta(minutes=5)
BEHIND_LIMIT = timedelta(days=7)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = 86_400_000_000
"""Microseconds in a day."""

_MICROSECOND = timedelta(microseconds=1)
_AHEAD = AHEAD_LIMIT // _MICROSECOND
_BEHIND = BEHIND_LIMIT // _MICROSECOND
_FIRST, _LAST = (
    (end.replace(tzinfo=UTC) - EPOCH) // _MICROSECOND for end in (datetime.min, datetime.max)
)
_SYMBOL = re.compile(SYMBOL)

PERFORMANCE = "performance"
"""The key under which a symbol's performance is stored."""

ReportKind = Literal["increment", "snapshot"]
"""What a report says: what one fill added, or the figure of the day so far."""

FIELDS = ("total", "unrealized", "realized", "converted")


class ProfitReport(NamedTuple):
    """What one fill added: amounts in millionths, the time in microseconds since 1970 UTC."""

    symbol: str
    sender: str
    timestamp_us: int
    total: int
    unrealized: int
    realized: int
    converted: int


class Update(NamedTuple):
    """A value, and where it belongs in Firebase.

    `key` is the name of a node of the symbol (`performance`), or a name and an id of any
    characters (`orders/<id>`). The fields of a `price` go into the symbol's own node.
    """

    symbol: str
    key: str
    value: Any


_decode_report = msgspec.json.Decoder(ReportEnvelope).decode
_decode_performance = msgspec.json.Decoder(PerformanceEnvelope).decode
_decode_update = msgspec.json.Decoder(UpdateEnvelope).decode


def read_report(message: bytes, now: int) -> tuple[ProfitReport, str | None]:
    """The report in `message`, and the name of the journal that carries it too, if one does.

    Args:
        message: as it came from PROFIT_REPORT or from the journal.
        now: microseconds since 1970 UTC, to tell reports that are absurdly early or late.

    Raises:
        RejectMessage: the message cannot be counted; the text says why.
    """
    envelope = _decoded(_decode_report, message)
    data = envelope.data
    timestamp_us = to_microseconds(data.timestamp)
    if timestamp_us - now > _AHEAD:
        raise RejectMessage(
            "timestamp", f"timestamp is more than {AHEAD_LIMIT} in the future: {data.timestamp}"
        )
    if now - timestamp_us > _BEHIND:
        raise RejectMessage(
            "timestamp", f"timestamp is more than 7 days in the past: {data.timestamp}"
        )
    sender = envelope.sender or ""
    if len(sender) > LONGEST_SENDER:
        raise RejectMessage("sender", f"sender is longer than {LONGEST_SENDER} characters")
    report = (
        _symbols[data.symbol],
        sender,
        timestamp_us,
        to_millionths(data.total, "total"),
        to_millionths(data.unrealized, "unrealized"),
        to_millionths(data.realized, "realized"),
        to_millionths(data.converted, "converted"),
    )
    # A fifth of the time that ProfitReport(...) takes: it is called for every report.
    return tuple.__new__(ProfitReport, report), envelope.journal


def read_performance(message: bytes) -> Update:
    """The performance in a TICKER_PERFORMANCE message.

    Raises:
        RejectMessage: it has not the form of one.
    """
    data = _decoded(_decode_performance, message).data
    return Update(stored_symbol(data.symbol), PERFORMANCE, _performance(data))


def read_update(message: bytes) -> Update:
    """The price or the order in a TICKER_UPDATES message.

    Raises:
        RejectMessage: it has the form of neither.
    """
    data = _decoded(_decode_update, message).data
    symbol = _symbols[data.symbol]
    to_microseconds(data.timestamp)
    if isinstance(data, PriceData):
        to_millionths(data.price, "price")
        value = {"price": data.price, "volume": data.volume, "timestamp": data.timestamp}
        return Update(symbol, "price", value)
    order_id = data.order_data.order.get("id")
    if not isinstance(order_id, str | int) or isinstance(order_id, bool) or order_id == "":
        raise RejectMessage("wrong_form", "the order has no id")
    if _is_deeper(data.order_data.order, DEEPEST):
        # Firebase would refuse it; and what can just be read can perhaps not be written again.
        raise RejectMessage("wrong_form", f"the order is nested more than {DEEPEST} levels deep")
    value = msgspec.structs.asdict(data.order_data) | {"timestamp": data.timestamp}
    return Update(symbol, f"orders/{order_id}", value)


def _is_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(each, levels - 1) for each in inner)


def performance_value(data: Any) -> dict[str, Any]:
    """The five fields of a performance out of `data`, checked; other fields are left out.

    Raises:
        RejectMessage: a field is missing or has the wrong type.
    """
    try:
        return _performance(msgspec.convert({"symbol": ""} | dict(data), ReportData))
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        raise RejectMessage("wrong_form", f"not a performance: {error}") from None


def _performance(data: ReportData) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name in FIELDS:
        amount = getattr(data, name)
        try:
            fields[name] = float(amount)
        except (ValueError, OverflowError):
            raise RejectMessage("amount", f"{name} is not a number: {str(amount)[:40]!r}") from None
        if not math.isfinite(fields[name]):
            raise RejectMessage("amount", f"{name} is not finite: {amount}")
    fields["timestamp"] = to_text(to_microseconds(data.timestamp))
    return fields


def _decoded(decode: Any, message: bytes) -> Any:
    if len(message) > LARGEST_MESSAGE:
        raise RejectMessage(
            "oversized", f"oversized: {len(message)} bytes, at most {LARGEST_MESSAGE}"
        )
    try:
        return decode(message)
    except msgspec.ValidationError as error:
        raise RejectMessage("wrong_form", f"wrong form: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # Python's own json writes these three words, which are not JSON.
        word = re.search(rb":\s*(NaN|-?Infinity)", message)
        if word:
            raise RejectMessage("amount", f"not finite: {word.group(1).decode()}") from None
        raise RejectMessage("not_json", f"not JSON: {error}") from None


def stored_symbol(text: str) -> str:
    """The one spelling of a symbol, or of `aggregate`.

    Raises:
        RejectMessage: no symbol can look like that.
    """
    symbol = text.strip()
    if not _SYMBOL.fullmatch(symbol):
        raise RejectMessage("symbol", f"no symbol looks like this: {text[:40]!r}")
    capitals = symbol.upper()
    if capitals == AGGREGATE.upper():
        return AGGREGATE
    # Where it can be the very same text: as key and value of `_symbols` it is in memory once then.
    return symbol if capitals == symbol else capitals


def reported_symbol(text: str) -> str:
    """The one spelling of a symbol that a bot may report for.

    Raises:
        RejectMessage: no symbol can look like that, or it is reserved.
    """
    symbol = stored_symbol(text)
    if symbol == AGGREGATE:
        raise RejectMessage("symbol", f"the symbol {text!r} is reserved for the account")
    return symbol


_symbols = Cache(reported_symbol)


def to_microseconds(timestamp: str) -> int:
    """An ISO 8601 date and time as microseconds since 1970 UTC; without an offset it is UTC.

    Raises:
        RejectMessage: it is not ISO 8601, or has no time.
    """
    try:
        moment = datetime.fromisoformat(timestamp)
        if len(timestamp) <= len("2025-05-15"):
            raise ValueError
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        timestamp_us = (moment - EPOCH) // _MICROSECOND
        # An offset may lead out of the calendar.
        if not _FIRST <= timestamp_us <= _LAST:
            raise ValueError
        return timestamp_us
    except (ValueError, OverflowError):
        raise RejectMessage(
            "timestamp", f"timestamp is not ISO 8601 with a date and a time: {timestamp[:40]!r}"
        ) from None


def time_in(record: Any) -> int | None:
    """The `timestamp` of a record from elsewhere, as `to_microseconds`; None: it has no such."""
    try:
        return to_microseconds(record["timestamp"])
    except (RejectMessage, LookupError, TypeError):
        return None


@lru_cache(maxsize=16)  # the figures of a symbol and then of the account have the same time
def to_text(timestamp_us: int) -> str:
    """Microseconds since 1970 UTC in the one written form, which also sorts by time."""
    second, microsecond = divmod(timestamp_us, 1_000_000)
    return f"{_second_to_text(second)}.{microsecond:06d}+00:00"


@lru_cache(maxsize=1024)
def _second_to_text(second: int) -> str:
    return (EPOCH + timedelta(seconds=second)).replace(tzinfo=None).isoformat()


def day_of(timestamp_us: int) -> int:
    """The UTC day, counted from 1970-01-01, that a timestamp belongs to."""
    return timestamp_us // DAY


def date_of(day: int) -> date:
    """The date of a day counted from 1970-01-01."""
    return EPOCH.date() + timedelta(days=day)
