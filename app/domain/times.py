"""Time: microseconds since 1970 UTC inside the program, one written form outside, days in UTC."""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any

from app.errors import RejectMessage

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


def to_microseconds(timestamp: str) -> int:
    """Convert an ISO 8601 date and time; without an offset it is UTC.

    Raises:
        RejectMessage: The text is not ISO 8601, or has no time of day.
    """
    try:
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
    except (ValueError, OverflowError):
        raise RejectMessage(
            "timestamp",
            f"timestamp is not ISO 8601 with a date and a time: {timestamp[:40]!r}",
        ) from None


def report_time(timestamp: str, now: int) -> int:
    """Convert the timestamp of a report.

    Raises:
        RejectMessage: The text is no time, or too far from `now`.
    """
    timestamp_us = to_microseconds(timestamp)
    if timestamp_us - now > _AHEAD:
        raise RejectMessage(
            "timestamp", f"timestamp is more than {AHEAD_LIMIT} in the future: {timestamp}"
        )
    if now - timestamp_us > _BEHIND:
        raise RejectMessage(
            "timestamp", f"timestamp is more than {BEHIND_LIMIT.days} days in the past: {timestamp}"
        )
    return timestamp_us


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
