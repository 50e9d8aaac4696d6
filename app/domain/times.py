"""Time: microseconds since 1970 UTC inside the program, one written form outside, days in UTC."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

from app.errors import RejectMessage

AHEAD_LIMIT = timedelta(minutes=5)
BEHIND_LIMIT = timedelta(days=7)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = 86_400_000_000
"""Microseconds in a day."""

EPOCH_UNITS = (
    (Decimal(10**11), Decimal(10**6)),  # seconds, until the year 5138
    (Decimal(10**14), Decimal(10**3)),  # milliseconds
    (Decimal(10**17), Decimal(1)),  # microseconds
    (Decimal(10**20), Decimal("0.001")),  # nanoseconds
)
"""The units of a time that is a number: the largest number in each, and its microseconds. In all
but seconds such a number is later than 1973, so no time of a report can be mistaken."""

EPOCH_TEXT = r"[0-9]{1,20}(\.[0-9]{0,9})?"
"""The pattern of such a number given as text."""

MOST_DIGITS = 12
"""The most digits of a report's time beyond microseconds."""

_EPOCH_TEXT = re.compile(EPOCH_TEXT)
_BEYOND = re.compile(r"[.,][0-9]{6}([0-9]+)")
_MICROSECOND = timedelta(microseconds=1)
_AHEAD = AHEAD_LIMIT // _MICROSECOND
_BEHIND = BEHIND_LIMIT // _MICROSECOND
_FIRST, _LAST = (
    (end.replace(tzinfo=UTC) - EPOCH) // _MICROSECOND for end in (datetime.min, datetime.max)
)


def to_microseconds(timestamp: str | float) -> int:
    """Convert a time: ISO 8601 with a date and a time of day, or a number since 1970 UTC.

    ISO 8601 without an offset is UTC. A number, or its text, is in seconds, milliseconds,
    microseconds or nanoseconds, as its size tells: see EPOCH_UNITS.

    Raises:
        RejectMessage: It is neither.
    """
    try:
        if not isinstance(timestamp, str):
            return _since_epoch(Decimal(repr(timestamp)))
        # Nearly all are ISO 8601, which has a hyphen here.
        if timestamp[4:5] != "-" and _EPOCH_TEXT.fullmatch(timestamp):
            return _since_epoch(Decimal(timestamp))
        moment = datetime.fromisoformat(timestamp)
        if len(timestamp) <= len("2025-05-15"):
            raise ValueError
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        timestamp_us = (moment - EPOCH) // _MICROSECOND
        # An offset can push the time out of the calendar.
        if not _FIRST <= timestamp_us <= _LAST:
            raise ValueError
        return timestamp_us
    except (ValueError, ArithmeticError):
        raise RejectMessage(
            "timestamp",
            f"timestamp is not ISO 8601 with a date and a time: {_quoted(timestamp)}; "
            "send one such as 2025-05-15T13:32:56.582434+00:00, or a number of seconds since 1970",
        ) from None


def _since_epoch(number: Decimal) -> int:
    for limit, microseconds in EPOCH_UNITS:
        if 0 <= number <= limit:
            return int(number * microseconds)
    raise ValueError


def _quoted(timestamp: str | float) -> str:
    return repr(timestamp)[:42]


def report_time(timestamp: str | float, now: int) -> tuple[int, str]:
    """Convert the timestamp of a report.

    Returns:
        The microseconds, and the digits beyond them without zeros at the end.

    Raises:
        RejectMessage: It is no time, too far from `now`, or has too many digits.
    """
    timestamp_us = to_microseconds(timestamp)
    if timestamp_us - now > _AHEAD:
        raise RejectMessage(
            "timestamp",
            f"timestamp is more than {AHEAD_LIMIT // timedelta(minutes=1)} minutes in the future: "
            f"{_read_as(timestamp, timestamp_us)}; {_fix_of_future(timestamp)}",
        )
    if now - timestamp_us > _BEHIND:
        raise RejectMessage(
            "timestamp",
            f"timestamp is more than {BEHIND_LIMIT.days} days in the past: "
            f"{_read_as(timestamp, timestamp_us)}; reports are counted for {BEHIND_LIMIT.days} "
            "days after their fill",
        )
    # Nearly all have six decimals, and then their offset.
    if type(timestamp) is str and timestamp[19:20] == "." and timestamp[26:27] in "+-Z":
        return timestamp_us, ""
    return timestamp_us, _digits_beyond(timestamp)


def _digits_beyond(timestamp: str | float) -> str:
    """Return the digits of a time beyond microseconds, without zeros at the end.

    Raises:
        RejectMessage: There are more than MOST_DIGITS.
    """
    if _is_number(timestamp):
        number = Decimal(str(timestamp))
        microseconds = next(unit for limit, unit in EPOCH_UNITS if number <= limit)
        return f"{number * microseconds:f}".partition(".")[2].rstrip("0")
    found = _BEYOND.search(str(timestamp))
    digits = found[1].rstrip("0") if found else ""
    if len(digits) > MOST_DIGITS:
        raise RejectMessage(
            "timestamp",
            f"timestamp has more than {6 + MOST_DIGITS} decimals of a second: "
            f"{str(timestamp)[:60]}; round it",
        )
    return digits


def _is_number(timestamp: str | float) -> bool:
    return not isinstance(timestamp, str) or _EPOCH_TEXT.fullmatch(timestamp) is not None


def _read_as(timestamp: str | float, timestamp_us: int) -> str:
    """Return a time as it came, and what a number was taken for."""
    taken = f", taken as {to_text(timestamp_us)}" if _is_number(timestamp) else ""
    return f"{timestamp}{taken}"


def _fix_of_future(timestamp: str | float) -> str:
    if _is_number(timestamp):
        return "send the time since 1970 in UTC, and check the bot's clock"
    if datetime.fromisoformat(str(timestamp)).tzinfo is None:
        return "a time without an offset is taken as UTC: send UTC, or add the offset"
    return "check the bot's clock"


def time_in(record: Any) -> int | None:
    """Return the time of a record from elsewhere, or None where it has no usable `timestamp`."""
    try:
        return to_microseconds(record["timestamp"])
    except (RejectMessage, LookupError, TypeError):
        return None


@lru_cache(maxsize=16)  # a symbol's figures and the account's have the same time
def to_text(timestamp_us: int) -> str:
    """Write a time in the one form that all messages and files have; it also sorts by time."""
    second, microsecond = divmod(timestamp_us, 1_000_000)
    return f"{_second_to_text(second)}.{microsecond:06d}+00:00"


@lru_cache(maxsize=1024)
def _second_to_text(second: int) -> str:
    return (EPOCH + timedelta(seconds=second)).replace(tzinfo=None).isoformat()


def day_of(timestamp_us: int) -> int:
    """Return the UTC day of a time, counted from 1970-01-01."""
    return timestamp_us // DAY


def date_of(day: int) -> date:
    """Return the date of a day counted from 1970-01-01."""
    return EPOCH.date() + timedelta(days=day)
