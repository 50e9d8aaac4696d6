"""What is to be seen of the tickers: rows made of the Firebase tree. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from app.channels import AGGREGATE
from app.domain import FIELDS, PERFORMANCE
from app.firebase import Event, applied, children, keys_of, unescape_key


class Row(NamedTuple):
    """One ticker, or the account. Amounts are as stored; None is what is not there or known."""

    ticker: str
    total: float | None
    unrealized: float | None
    realized: float | None
    converted: float | None
    price: float | None = None
    at: datetime | None = None
    """When its newest report was made."""
    change: float | None = None
    """Of the total since watching began, or since the ticker's day began if that is later."""
    lag: float | None = None
    """Seconds from the newest report to its arrival here; only if it was seen to arrive."""

    def age(self, now: datetime) -> float | None:
        """Seconds since the newest report."""
        return None if self.at is None else max(0.0, (now - self.at).total_seconds())


def rows_of(tree: Any) -> list[Row]:
    """The rows of a tree of tickers: the account on top, then the tickers by name."""
    rows = [_row(unescape_key(key), node) for key, node in children(tree).items()]
    return sorted(rows, key=lambda row: (row.ticker != AGGREGATE, row.ticker))


def _row(ticker: str, node: Any) -> Row:
    fields = children(node)
    performance = children(fields.get(PERFORMANCE))
    return Row(
        ticker,
        **{name: _number(performance.get(name)) for name in FIELDS},
        price=_number(fields.get("price")),
        at=_moment(performance.get("timestamp")),
    )


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else None


def _moment(timestamp: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(timestamp)
    except (TypeError, ValueError):
        return None
    return None if at.tzinfo is None else at.astimezone(UTC)


class Watched:
    """The tree as it is, and what was seen to happen in it."""

    def __init__(self) -> None:
        self.tree: Any = None
        self.since: datetime | None = None
        """When watching began: when the whole tree came for the first time."""
        self._began: dict[str, Row] = {}
        self._lags: dict[str, float] = {}

    def take_in(self, event: Event, now: datetime) -> None:
        """Take in an event of the stream, which came at `now`.

        Orders are left out: they are not shown, and many.
        """
        if event.kind == "put" and not keys_of(event.path):
            self.tree = {key: _without_orders(node) for key, node in children(event.data).items()}
            # What has changed while nobody listened came at a time that nobody knows.
            self._lags.clear()
            if self.since is None:
                self.since = now
                self._began = {row.ticker: row for row in rows_of(self.tree)}
            return
        before = self.tree
        tickers = set()
        for keys, value in event.changes():
            if keys[1:2] == ["orders"]:
                continue
            bare = _without_orders(value) if len(keys) == 1 else value
            self.tree = applied(self.tree, Event("put", "/".join(keys), bare))
            tickers.update(keys[:1])
        for ticker in tickers:
            self._note_arrival(ticker, before, now)

    def rows(self) -> list[Row]:
        """What there is to see."""
        return [
            row._replace(change=self._change(row), lag=self._lags.get(row.ticker))
            for row in rows_of(self.tree)
        ]

    def _note_arrival(self, key: str, before: Any, now: datetime) -> None:
        old, new = _timestamp(before, key), _timestamp(self.tree, key)
        at = _moment(new)
        if at is not None and new != old:
            self._lags[unescape_key(key)] = (now - at).total_seconds()

    def _change(self, row: Row) -> float | None:
        if row.total is None or row.at is None:
            return None
        begun = self._began.get(row.ticker)
        if begun and begun.total is not None and begun.at and begun.at.date() == row.at.date():
            return row.total - begun.total
        # A figure begins at nothing every day; so does that of a ticker that was not there.
        return row.total


def _timestamp(tree: Any, key: str) -> Any:
    return children(children(children(tree).get(key)).get(PERFORMANCE)).get("timestamp")


def _without_orders(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    return {name: child for name, child in node.items() if name != "orders"}


SORTS = ("name", *FIELDS, "age")
"""What rows can be sorted by."""


def arranged(
    rows: Sequence[Row], sort: str = "name", pattern: str = "", *, backwards: bool = False
) -> list[Row]:
    """The rows in whose name `pattern` occurs, in any case, sorted; the account stays on top.

    Args:
        rows: to choose from.
        sort: one of SORTS. Names go up, amounts down, and the longest silent comes first; who has
            nothing to be sorted by comes last.
        pattern: part of a ticker's name.
        backwards: the other way round.
    """
    account = [row for row in rows if row.ticker == AGGREGATE]
    chosen = sorted(
        (row for row in rows if row.ticker != AGGREGATE and pattern.upper() in row.ticker.upper()),
        key=lambda row: row.ticker,
    )
    if sort == "name":
        return account + (chosen[::-1] if backwards else chosen)
    field = "at" if sort == "age" else sort
    known = [row for row in chosen if getattr(row, field) is not None]
    known.sort(key=lambda row: getattr(row, field), reverse=(sort != "age") != backwards)
    return account + known + [row for row in chosen if getattr(row, field) is None]
