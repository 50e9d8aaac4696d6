"""The rows of the table, made from the Firebase tree; which of them to show, and in what order."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple

from app.channels import AGGREGATE
from app.domain import FIELDS, PERFORMANCE
from app.firebase import children, unescape_key

SORTS = ("name", *FIELDS, "age")
"""What rows can be sorted by."""


class Row(NamedTuple):
    """One ticker, or the account. Amounts are as stored; None is an unknown value."""

    ticker: str
    total: float | None
    unrealized: float | None
    realized: float | None
    converted: float | None
    price: float | None = None
    reported_at: datetime | None = None
    """The time of the newest report."""
    change: float | None = None
    """Of the total since watching began, or since the ticker's day began if that is later."""
    lag: float | None = None
    """Seconds from the newest report to its arrival here; None if it arrived before."""

    def age(self, now: datetime) -> float | None:
        """Return the seconds since the newest report."""
        if self.reported_at is None:
            return None
        return max(0.0, (now - self.reported_at).total_seconds())

    @property
    def amounts(self) -> tuple[float | None, ...]:
        return self.total, self.unrealized, self.realized, self.converted


def rows_of(tree: Any) -> list[Row]:
    """Return a row for each ticker of the tree: the account first, then the tickers by name."""
    rows = [_row(unescape_key(key), node) for key, node in children(tree).items()]
    return sorted(rows, key=lambda row: (row.ticker != AGGREGATE, row.ticker))


def _row(ticker: str, node: Any) -> Row:
    fields = children(node)
    performance = children(fields.get(PERFORMANCE))
    return Row(
        ticker,
        **{name: _number(performance.get(name)) for name in FIELDS},
        price=_price(fields.get("price")),
        reported_at=parse_time(performance.get("timestamp")),
    )


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else None


def _price(value: Any) -> float | None:
    """Return a price, which brokers may send as text."""
    with suppress(ValueError):
        value = float(value) if isinstance(value, str) else value
    return _number(value)


def parse_time(timestamp: Any) -> datetime | None:
    """Return the time in UTC; None if `timestamp` is not ISO 8601 with an offset."""
    try:
        time = datetime.fromisoformat(timestamp)
    except (TypeError, ValueError):
        return None
    return None if time.tzinfo is None else time.astimezone(UTC)


def select_rows(
    rows: Sequence[Row], sort: str = "name", pattern: str = "", *, reverse: bool = False
) -> list[Row]:
    """Return the rows whose ticker contains `pattern`, sorted; the account always comes first.

    Args:
        rows: All rows.
        sort: One of SORTS. Names ascend, amounts descend, and the longest silence comes first;
            rows without that value come last.
        pattern: Part of a ticker, in any case.
        reverse: Reverse the order.
    """
    account = [row for row in rows if row.ticker == AGGREGATE]
    matching = sorted(
        (row for row in rows if row.ticker != AGGREGATE and pattern.upper() in row.ticker.upper()),
        key=lambda row: row.ticker,
    )
    if sort == "name":
        return account + (matching[::-1] if reverse else matching)
    field = "reported_at" if sort == "age" else sort
    known = [row for row in matching if getattr(row, field) is not None]
    known.sort(key=lambda row: getattr(row, field), reverse=(sort != "age") != reverse)
    return account + known + [row for row in matching if getattr(row, field) is None]
