"""The live table: what the front end would show, heard from the local Firebase as it hears it."""

import http.client
import json
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from app.channels import AGGREGATE
from app.firebase_client import unescape_key
from app.messages import FIELDS

_SILENCE = 45.0
"""Seconds; the database sends a keep-alive every 30."""

_RETRY_PAUSE = 0.5


class Row(NamedTuple):
    """One line of the table. Amounts are as stored; None is what the tree does not have."""

    ticker: str
    total: float | None
    unrealized: float | None
    realized: float | None
    converted: float | None
    price: float | None
    age: float | None
    """Seconds since the newest report."""


def rows_of(tree: Any, now: datetime) -> list[Row]:
    """The rows of a tree of tickers: the account on top, then the tickers by name."""
    rows = [_row(unescape_key(key), node, now) for key, node in _children(tree).items()]
    return sorted(rows, key=lambda row: (row.ticker != AGGREGATE, row.ticker))


def _row(ticker: str, node: Any, now: datetime) -> Row:
    fields = _children(node)
    performance = _children(fields.get("performance"))
    return Row(
        ticker,
        **{name: _number(performance.get(name)) for name in FIELDS},
        price=_number(fields.get("price")),
        age=_age(performance.get("timestamp"), now),
    )


def _children(node: Any) -> dict[str, Any]:
    """The children of a node by key; RTDB shows one whose keys are numbers as a list."""
    if isinstance(node, list):
        return {str(key): child for key, child in enumerate(node) if child is not None}
    return node if isinstance(node, dict) else {}


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else None


def _age(timestamp: Any, now: datetime) -> float | None:
    try:
        return max(0.0, (now - datetime.fromisoformat(timestamp)).total_seconds())
    except (TypeError, ValueError):
        return None


def drawn(rows: Iterable[Row]) -> Table:
    """The rows as a table for a terminal."""
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("ticker", no_wrap=True)
    for name in (*FIELDS, "price", "reported"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        amounts = (row.total, row.unrealized, row.realized, row.converted)
        cells = [_coloured(amount) for amount in amounts]
        is_account = row.ticker == AGGREGATE
        table.add_row(
            Text(row.ticker),
            *cells,
            Text("" if is_account else _money(row.price)),
            Text(_ago(row.age)),
            style="bold" if is_account else None,
            end_section=is_account,
        )
    return table


def _coloured(amount: float | None) -> Text:
    style = "" if not amount else "green" if amount > 0 else "red"
    return Text(_money(amount), style)


def _money(amount: float | None) -> str:
    return "-" if amount is None else f"{amount:,.2f}"


def _ago(age: float | None) -> str:
    if age is None:
        return "-"
    if age < 90:
        return f"{age:.0f} s ago"
    return f"{age / 60:.0f} min ago" if age < 5_400 else f"{age / 3_600:.0f} h ago"


def changed_lines(rows: Iterable[Row], told: dict[str, Row]) -> Iterator[str]:
    """A line for each row whose amounts are others than were told last; `told` is kept up."""
    for row in rows:
        amounts = row[1:5]
        before = told.get(row.ticker)
        if amounts == (before[1:5] if before else (None,) * 4):
            continue
        told[row.ticker] = row
        shown = (f"{name} {_money(amount)}" for name, amount in zip(FIELDS, amounts, strict=True))
        yield f"{row.ticker:<10}  {'  '.join(shown)}"


def apply_event(tree: Any, kind: str, path: str, data: Any) -> Any:
    """The tree after an event of the stream: `put` replaces at `path`, `patch` some nodes below.

    A new tree: the old one is not touched. Orders are left out; they are not shown, and many.
    """
    changes = {"": data} if kind == "put" else data
    for below, value in changes.items():
        keys = _keys(path) + _keys(below)
        if "orders" not in keys:
            tree = _replaced(tree, keys, value)
    return tree


def _keys(path: str) -> list[str]:
    return [key for key in path.split("/") if key]


def _replaced(node: Any, keys: list[str], value: Any) -> Any:
    if not keys:
        return value
    children = _children(node)
    child = _replaced(children.get(keys[0]), keys[1:], value)
    others = {key: other for key, other in children.items() if key != keys[0]}
    return others if child is None else {**children, keys[0]: child}


class Listener:
    """Follows the tickers of a database, in a thread that ends with the program.

    Args:
        host: host:port of the database.
        root: the node that holds the tickers.
        namespace: of the database.
    """

    def __init__(self, host: str, root: str, namespace: str) -> None:
        self._host = host
        self._target = f"/{root}.json?ns={namespace}"
        self._tree: Any = None
        threading.Thread(target=self._follow, name="table", daemon=True).start()

    def rows(self) -> list[Row]:
        """What there is now."""
        return rows_of(self._tree, datetime.now(UTC))

    def _follow(self) -> None:
        while True:
            with suppress(OSError, http.client.HTTPException, ValueError):
                self._listen()
            time.sleep(_RETRY_PAUSE)

    def _listen(self) -> None:
        with closing(http.client.HTTPConnection(self._host, timeout=_SILENCE)) as connection:
            connection.request("GET", self._target, headers={"Accept": "text/event-stream"})
            kind = ""
            for line in connection.getresponse():
                name, _, rest = line.decode().rstrip("\n").partition(": ")
                if name == "event":
                    kind = rest
                elif name == "data" and kind in {"put", "patch"}:
                    event = json.loads(rest)
                    self._tree = apply_event(self._tree, kind, event["path"], event["data"])
