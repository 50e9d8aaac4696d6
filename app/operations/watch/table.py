"""The tickers as a table for a terminal, and as lines where there is none."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from app.channels import AGGREGATE
from app.domain import FIELDS
from app.operations.watch.tickers import Row

FOR_TRYING = ("price", "reported")
FOR_WATCHING = ("change", "reported", "lag")
"""Columns beside the four amounts."""

_LEFT_OUT_FIRST = ("lag", "change", "price", "converted", "realized", "unrealized")
_TICKER_WIDTH = 12
"""Characters of a ticker that a narrow terminal shows at least."""


def drawn(
    rows: Iterable[Row],
    now: datetime,
    columns: Sequence[str] = FOR_TRYING,
    stale: float | None = None,
    width: int | None = None,
) -> Table:
    """The rows as a table.

    An amount is never cut, since what is left of it would be another one: where there is no room,
    columns are left out, and long tickers end in an ellipsis.

    Args:
        rows: in the order in which they are to be shown.
        now: for their ages.
        columns: FOR_TRYING or FOR_WATCHING.
        stale: seconds without a report after which a ticker is called stale.
        width: of the terminal; unlimited if not given.
    """
    rows = list(rows)
    cells = {name: [_cell(name, row, now, stale) for row in rows] for name in (*FIELDS, *columns)}
    room = None if width is None else _left_for_tickers(cells, rows, width)
    table = Table(box=SIMPLE, show_edge=False, padding=0, pad_edge=False, header_style="bold")
    table.add_column("ticker", no_wrap=True, max_width=room)
    for name in cells:
        table.add_column(name, justify="right", no_wrap=True)
    for row, *texts in zip(rows, *cells.values(), strict=True):
        is_account = row.ticker == AGGREGATE
        table.add_row(
            Text(row.ticker),
            *texts,
            style="bold" if is_account else None,
            end_section=is_account,
        )
    return table


def _left_for_tickers(cells: dict[str, list[Text]], rows: list[Row], width: int) -> int:
    """How wide tickers may be, once the columns that have no room are taken out of `cells`."""
    least = min(_TICKER_WIDTH, max((len(row.ticker) for row in rows), default=0))
    widths = {name: 1 + max(len(name), *map(len, texts), 0) for name, texts in cells.items()}
    for name in _LEFT_OUT_FIRST:
        if sum(widths.values()) + least <= width:
            break
        if name in widths:
            del widths[name], cells[name]
    return max(1, width - sum(widths.values()))


def _cell(name: str, row: Row, now: datetime, stale: float | None) -> Text:
    if name == "reported":
        age = row.age(now)
        if age is not None and stale is not None and age > stale:
            return Text(f"STALE {duration(age)}", "yellow")
        return Text("-" if age is None else f"{duration(age)} ago")
    if name == "lag":
        return Text("-" if row.lag is None else _short(row.lag))
    if name == "price":
        return Text("" if row.ticker == AGGREGATE else money(row.price))
    amount = getattr(row, name)
    style = "" if not amount else "green" if amount > 0 else "red"
    return Text(f"{amount:+,.2f}" if name == "change" and amount else money(amount), style)


def money(amount: float | None) -> str:
    """An amount as people read it."""
    return "-" if amount is None else f"{amount:,.2f}"


def duration(seconds: float) -> str:
    """A time span as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3_600:.0f} h"


def _short(seconds: float) -> str:
    return f"{seconds * 1_000:.0f} ms" if seconds < 1 else duration(seconds)


def changed_lines(rows: Iterable[Row], told: dict[str, Row]) -> Iterator[str]:
    """A line for each row whose amounts are others than were told last; `told` is kept up."""
    for row in changed(rows, told):
        shown = (f"{name} {money(getattr(row, name))}" for name in FIELDS)
        yield f"{row.ticker:<10}  {'  '.join(shown)}"


def changed(rows: Iterable[Row], told: dict[str, Row]) -> Iterator[Row]:
    """Each row whose amounts are others than were told last; `told` is kept up."""
    for row in rows:
        before = told.get(row.ticker)
        if row[1:5] != (before[1:5] if before else (None,) * 4):
            told[row.ticker] = row
            yield row
