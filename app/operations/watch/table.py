"""The rows as a table for a terminal, and as lines for a pipe."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from rich.box import SIMPLE
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from app.channels import AGGREGATE
from app.domain import FIELDS, PLACES
from app.operations.watch.rows import Row

# The columns after the four amounts.
DEV_COLUMNS = ("price", "reported")
WATCH_COLUMNS = ("change", "reported", "lag")

_DROPPED_FIRST = ("lag", "change", "price", "converted", "realized", "unrealized")
_MIN_TICKER_WIDTH = 12


def render_table(
    rows: Iterable[Row],
    now: datetime,
    columns: Sequence[str] = DEV_COLUMNS,
    stale: float | None = None,
    width: int | None = None,
    decimals: int = 2,
) -> Table:
    """Return the rows as a table.

    An amount is never truncated, since it would read as another amount: in a narrow terminal,
    columns are dropped and long tickers are cut with an ellipsis.

    Args:
        rows: The rows, in order.
        now: The current time, for the ages.
        columns: DEV_COLUMNS or WATCH_COLUMNS.
        stale: Seconds without a report after which a ticker is marked as stale.
        width: Width of the terminal; unlimited by default.
        decimals: Decimal places of the amounts (PROFIT_DECIMALS).
    """
    rows = list(rows)
    cells = {
        name: [_cell(name, row, now, stale, decimals) for row in rows]
        for name in (*FIELDS, *columns)
    }
    ticker_width = None if width is None else _drop_columns(cells, rows, width)
    table = Table(box=SIMPLE, show_edge=False, padding=0, pad_edge=False, header_style="bold")
    table.add_column("ticker", no_wrap=True, max_width=ticker_width)
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


def _drop_columns(cells: dict[str, list[Text]], rows: list[Row], width: int) -> int:
    """Drop the columns that do not fit from `cells`; return the width that is left for tickers."""
    needed = min(_MIN_TICKER_WIDTH, max((cell_len(row.ticker) for row in rows), default=0))
    widths = {name: 1 + max(len(name), *map(len, texts), 0) for name, texts in cells.items()}
    for name in _DROPPED_FIRST:
        if sum(widths.values()) + needed <= width:
            break
        if name in widths:
            del widths[name], cells[name]
    return max(1, width - sum(widths.values()))


def _cell(name: str, row: Row, now: datetime, stale: float | None, decimals: int) -> Text:
    if name == "reported":
        age = row.age(now)
        if age is not None and stale is not None and age > stale:
            return Text(f"STALE {format_duration(age)}", "yellow")
        return Text("-" if age is None else f"{format_duration(age)} ago")
    if name == "lag":
        return Text("-" if row.lag is None else _format_lag(row.lag))
    if name == "price":
        return Text("" if row.ticker == AGGREGATE else _format_price(row.price))
    amount = getattr(row, name)
    style = "" if not amount else "green" if amount > 0 else "red"
    sign = "+" if name == "change" and amount else ""
    return Text(_format_amount(amount, decimals, sign), style)


def _format_amount(amount: float | None, decimals: int, sign: str = "") -> str:
    return "-" if amount is None else f"{amount:{sign},.{decimals}f}"


def _format_price(price: float | None) -> str:
    """Format a price with two decimals at least, and as many as it has up to PLACES."""
    if price is None:
        return "-"
    units, _, decimals = f"{price:,.{PLACES}f}".partition(".")
    return f"{units}.{decimals.rstrip('0'):0<2}"


def format_duration(seconds: float) -> str:
    """Return a duration in its natural unit: `89 s`, `15 min`, `24 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3_600:.0f} h"


def _format_lag(seconds: float) -> str:
    return f"{seconds * 1_000:.0f} ms" if seconds < 1 else format_duration(seconds)


def changed_lines(rows: Iterable[Row], printed: dict[str, Row], decimals: int = 2) -> Iterator[str]:
    """Yield a line for each of the `changed_rows`."""
    for row in changed_rows(rows, printed):
        amounts = (f"{name} {_format_amount(getattr(row, name), decimals)}" for name in FIELDS)
        yield f"{row.ticker:<10}  {'  '.join(amounts)}"


def changed_rows(rows: Iterable[Row], printed: dict[str, Row]) -> Iterator[Row]:
    """Yield each row whose amounts differ from those in `printed`, and put it there."""
    for row in rows:
        before = printed.get(row.ticker)
        if row.amounts != (before.amounts if before else (None,) * 4):
            printed[row.ticker] = row
            yield row
