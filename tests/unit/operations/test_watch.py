"""What the live table shows of a tree, how it follows the database, and what can be chosen."""

from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any

import pytest
from rich.console import Console

from app.firebase import Event, StreamStatus
from app.operations.watch import (
    DEV_COLUMNS,
    SORTS,
    WATCH_COLUMNS,
    Row,
    View,
    WatchedTickers,
    changed_lines,
    headline,
    render_table,
    rows_of,
    select_rows,
)

NOW = datetime(2025, 5, 15, 13, 33, 0, tzinfo=UTC)
AT = "2025-05-15T13:32:56.500000+00:00"
MOMENT = datetime.fromisoformat(AT)


def performance(total: float = 28.76, timestamp: Any = AT) -> dict[str, Any]:
    return {
        "total": total,
        "unrealized": 20.5,
        "realized": 8.26,
        "converted": 1,
        "timestamp": timestamp,
    }


def shown(rows: list[Row], width: int, *options: Any) -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(render_table(rows, NOW, *options))
    return captured.get().splitlines()


def test_a_ticker_shows_its_figures_its_price_and_the_age_of_its_last_report() -> None:
    tree = {"SOFI": {"price": 13.4, "volume": 9, "performance": performance()}}
    (row,) = rows_of(tree)
    assert row == Row("SOFI", 28.76, 20.5, 8.26, 1.0, 13.4, MOMENT)
    assert row.age(NOW) == 3.5


@pytest.mark.parametrize("columns", [DEV_COLUMNS, WATCH_COLUMNS])
@pytest.mark.parametrize("width", [120, 80, 60, 45])
def test_a_narrow_terminal_shows_fewer_columns_and_never_a_part_of_an_amount(
    width: int, columns: tuple[str, ...]
) -> None:
    loss = performance(-123_456_789.01) | {"realized": -123_456_818.27}
    tree = {"A" * 32: {"price": 103_450.5, "performance": loss}, "F": {"performance": loss}}
    lines = shown(rows_of(tree), width, columns, None, width)
    names, *_ = lines
    assert all(len(line) <= width for line in lines)
    assert {"total", "reported"} <= set(names.split())
    assert [line.count("-123,456,789.01") for line in lines if "4 s ago" in line] == [1, 1]
    assert "…" not in names
    assert ("-123,456,818.27" in lines[-1]) == ("realized" in names.split())
    assert [line.index("…") < 31 for line in lines if "…" in line] in ([], [True])
    assert any(line.startswith("A" * 11) for line in lines)


def test_the_account_is_on_top_and_the_tickers_follow_by_name() -> None:
    tree = {name: {"performance": performance()} for name in ("SOFI", "0700", "aggregate", "AMD")}
    assert [row.ticker for row in rows_of(tree)] == ["aggregate", "0700", "AMD", "SOFI"]


def test_escaped_keys_are_shown_as_the_tickers_they_stand_for() -> None:
    tree = {"BRK!2EB": {"price": 1}, "BTC!2FUSD": {"price": 2}}
    assert [row.ticker for row in rows_of(tree)] == ["BRK.B", "BTC/USD"]


@pytest.mark.parametrize(
    ("stored", "price"), [("344.3", 344.3), (" 7 ", 7), ("soon", None), (None, None), (True, None)]
)
def test_a_price_may_be_text(stored: Any, price: float | None) -> None:
    (row,) = rows_of({"TSLA": {"price": stored, "timestamp": "9:31"}})
    assert row.price == price


def test_a_ticker_that_has_no_figures_yet_is_shown_without_them() -> None:
    assert rows_of({"SOFI": {"price": 13.4}}) == [Row("SOFI", None, None, None, None, 13.4)]


@pytest.mark.parametrize("tree", [None, {}, [], "nonsense"])
def test_a_database_without_tickers_makes_an_empty_table(tree: Any) -> None:
    assert rows_of(tree) == []


def test_numeric_tickers_are_found_where_the_database_makes_a_list_of_them() -> None:
    tree = [None, {"performance": performance()}]
    assert [row.ticker for row in rows_of(tree)] == ["1"]


@pytest.mark.parametrize("timestamp", [None, 5, "soon", "2025-05-15T13:32:56"])
def test_a_timestamp_that_is_none_costs_only_the_age(timestamp: Any) -> None:
    (row,) = rows_of({"SOFI": {"performance": performance(timestamp=timestamp)}})
    assert (row.total, row.age(NOW)) == (28.76, None)


@pytest.mark.parametrize(
    ("columns", "stale", "age"),
    [(DEV_COLUMNS, None, "24 h ago"), (WATCH_COLUMNS, 300, "STALE 24 h")],
)
def test_a_table_of_large_figures_fits_eighty_columns_and_cuts_nothing(
    columns: tuple[str, ...], stale: float | None, age: str
) -> None:
    amounts = (-12_345.67, 12_345.67, 12_345.67, 12_345.67)
    a_day_ago = NOW - timedelta(days=1)
    rows = [
        Row("aggregate", 123_456.78, *amounts[1:], None, NOW, 1_234.56, 0.123),
        Row("BTC/USD", *amounts, 123_456.78, a_day_ago, -1_234.56, 75.0),
    ]
    lines = shown(rows, 80, columns, stale)
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    assert any("-12,345.67" in line and age in line for line in lines)


def test_a_ticker_is_called_stale_by_word_when_it_has_been_silent_for_so_long() -> None:
    rows = [Row("F", 1, 1, 1, 1, reported_at=NOW - timedelta(seconds=age)) for age in (299, 301)]
    lines = [
        line for line in shown(rows, 80, WATCH_COLUMNS, 300.0) if line.strip().startswith("F ")
    ]
    assert ["STALE" in line for line in lines] == [False, True]


def test_only_figures_that_changed_are_printed_again() -> None:
    printed: dict[str, Row] = {}
    before = rows_of({"SOFI": {"performance": performance()}, "F": {"price": 1}})
    after = rows_of({"SOFI": {"performance": performance(30)}, "F": {"price": 2}})
    assert list(changed_lines(before, printed)) == [
        "SOFI        total 28.76  unrealized 20.50  realized 8.26  converted 1.00"
    ]
    assert list(changed_lines(before, printed)) == []
    assert [line.split()[:3] for line in changed_lines(after, printed)] == [
        ["SOFI", "total", "30.00"]
    ]


ORDERS = {"a": {"qty": 1}}


@pytest.mark.parametrize(
    "event",
    [
        Event("put", "/", {"SOFI": {"price": 1, "orders": ORDERS}}),
        Event("put", "/SOFI", {"price": 1, "orders": ORDERS}),
        Event("put", "/SOFI/orders", ORDERS),
        Event("put", "/SOFI/orders/a", {"qty": 1}),
        Event("patch", "/", {"SOFI/orders/a": {"qty": 1}, "SOFI/price": 1}),
    ],
)
def test_orders_do_not_pile_up_in_the_memory(event: Event) -> None:
    watched = WatchedTickers()
    watched.apply(Event("put", "/", {"SOFI": {"price": 1}}), NOW)
    watched.apply(event, NOW)
    assert watched.tree == {"SOFI": {"price": 1}}


def watching(*figures: tuple[str, float, str]) -> WatchedTickers:
    """Watching that began with one figure of SOFI; the others came one by one, a second late."""
    watched = WatchedTickers()
    for number, (kind, total, timestamp) in enumerate(figures):
        tree = {"SOFI": {"performance": performance(total, timestamp)}}
        path, data = (
            ("/", tree) if kind == "all" else ("/SOFI/performance", tree["SOFI"]["performance"])
        )
        at = datetime.fromisoformat(timestamp) + timedelta(seconds=1) if number else NOW
        watched.apply(Event("put", path, data), at)
    return watched


LATER = "2025-05-15T13:40:00+00:00"
TOMORROW = "2025-05-16T00:00:01+00:00"


def test_the_lag_is_known_only_for_a_report_that_was_seen_to_arrive() -> None:
    def lag(*figures: tuple[str, float, str]) -> float | None:
        return watching(*figures).rows()[0].lag

    assert lag(("all", 1, AT)) is None
    assert lag(("all", 1, AT), ("one", 2, LATER)) == 1
    assert lag(("all", 1, AT), ("one", 2, AT)) is None, "no newer report"
    assert lag(("all", 1, AT), ("one", 2, LATER), ("all", 3, TOMORROW)) is None, "a new connection"


def test_the_change_is_counted_from_where_watching_began_and_anew_every_day() -> None:
    def change(*figures: tuple[str, float, str]) -> float | None:
        return watching(*figures).rows()[0].change

    assert change(("all", 10, AT)) == 0
    assert change(("all", 10, AT), ("one", 12.5, LATER)) == 2.5
    assert change(("all", 10, AT), ("all", 12.5, LATER)) == 2.5
    assert change(("all", 10, AT), ("one", 3, TOMORROW)) == 3


def test_a_ticker_that_was_not_there_has_changed_by_all_that_it_has() -> None:
    watched = watching(("all", 10, AT))
    watched.apply(Event("put", "/AMD/performance", performance(4)), NOW)
    assert {row.ticker: row.change for row in watched.rows()} == {"AMD": 4, "SOFI": 0}


ROWS = [
    Row("aggregate", -1, 0, 0, 0, reported_at=NOW),
    Row("B", 2, 1, 3, 0, reported_at=NOW),
    Row("A", 2, 3, 1, 0, reported_at=NOW - timedelta(hours=1)),
    Row("C", 5, 2, 2, 0, reported_at=NOW - timedelta(hours=2)),
    Row("NEW", None, None, None, None),
]


def names(sort: str = "name", pattern: str = "", *, reverse: bool = False) -> str:
    rows = select_rows(ROWS, sort, pattern, reverse=reverse)
    assert rows[0].ticker == "aggregate"
    return " ".join(row.ticker for row in rows[1:])


def test_rows_are_sorted_with_the_account_on_top_and_the_unknown_last() -> None:
    assert names() == "A B C NEW"
    assert names(reverse=True) == "NEW C B A"
    assert names("total") == "C A B NEW"
    assert names("total", reverse=True) == "A B C NEW"
    assert names("unrealized") == "A C B NEW"
    assert names("realized") == "B C A NEW"
    assert names("age") == "C A B NEW"
    assert names("age", reverse=True) == "B A C NEW"


def test_a_filter_leaves_the_tickers_that_have_it_in_their_name_in_any_case() -> None:
    assert names(pattern="n") == "NEW"
    assert names(pattern="nothing") == ""


def typed(*keys: str) -> View:
    return reduce(View.press, keys, View())


def test_keys_choose_what_is_shown() -> None:
    assert {typed(name[0]).sort for name in SORTS} == set(SORTS)
    assert typed("t") == View(sort="total")
    assert typed("t", "t") == View(sort="total", is_reversed=True)
    assert typed("t", "t", "u") == View(sort="unrealized")
    assert typed("?").shows_help
    assert typed("?", "?") == View()
    assert typed("q").is_finished
    assert typed("x", "\x1b[A", "\r") == View()


def test_what_is_typed_into_the_filter_is_no_command() -> None:
    assert typed("/", "q", "t", "x", "\x7f") == View(pattern="qt", is_typing=True)
    assert typed("/", "q", "\r") == View(pattern="q")
    assert typed("/", "q", "\x1b") == View()
    assert typed("/", "q", "\r", "\x1b") == View()
    assert typed("/", "\x1b[A") == View(is_typing=True)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (StreamStatus(True, 2.0, ""), "live  13:33:00 UTC  last report 4 s ago"),
        (StreamStatus(False, 12.0, "refused"), "NO NEWS from Firebase for 12 s: refused"),
        (StreamStatus(False, 40.0, ""), "NO NEWS from Firebase for 40 s"),
        (StreamStatus(False, None, "refused"), "NO NEWS from Firebase: refused"),
        (StreamStatus(False, None, ""), "connecting to Firebase"),
    ],
)
def test_the_line_on_top_says_whether_firebase_is_heard(
    status: StreamStatus, expected: str
) -> None:
    rows = rows_of({"SOFI": {"performance": performance()}})
    assert headline(status, rows, NOW).plain.startswith(expected)
