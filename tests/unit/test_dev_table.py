"""What the live table shows of a tree, and how it follows the database."""

from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from app.dev.table import Row, apply_event, changed_lines, drawn, rows_of

NOW = datetime(2025, 5, 15, 13, 33, 0, tzinfo=UTC)
AT = "2025-05-15T13:32:56.500000+00:00"


def performance(total: float = 28.76) -> dict[str, Any]:
    return {
        "total": total,
        "unrealized": 20.5,
        "realized": 8.26,
        "converted": 1,
        "timestamp": AT,
    }


def shown(rows: list[Row], width: int) -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(drawn(rows))
    return captured.get().splitlines()


def test_a_ticker_shows_its_figures_its_price_and_the_age_of_its_last_report() -> None:
    tree = {"SOFI": {"price": 13.4, "volume": 9, "performance": performance()}}
    assert rows_of(tree, NOW) == [Row("SOFI", 28.76, 20.5, 8.26, 1.0, 13.4, 3.5)]


def test_the_account_is_on_top_and_the_tickers_follow_by_name() -> None:
    tree = {name: {"performance": performance()} for name in ("SOFI", "0700", "aggregate", "AMD")}
    assert [row.ticker for row in rows_of(tree, NOW)] == ["aggregate", "0700", "AMD", "SOFI"]


def test_escaped_keys_are_shown_as_the_tickers_they_stand_for() -> None:
    tree = {"BRK!2EB": {"price": 1}, "BTC!2FUSD": {"price": 2}}
    assert [row.ticker for row in rows_of(tree, NOW)] == ["BRK.B", "BTC/USD"]


def test_a_ticker_that_has_no_figures_yet_is_shown_without_them() -> None:
    assert rows_of({"SOFI": {"price": 13.4}}, NOW) == [
        Row("SOFI", None, None, None, None, 13.4, None)
    ]


@pytest.mark.parametrize("tree", [None, {}, [], "nonsense"])
def test_a_database_without_tickers_makes_an_empty_table(tree: Any) -> None:
    assert rows_of(tree, NOW) == []


def test_numeric_tickers_are_found_where_the_database_makes_a_list_of_them() -> None:
    tree = [None, {"performance": performance()}]
    assert [row.ticker for row in rows_of(tree, NOW)] == ["1"]


@pytest.mark.parametrize("timestamp", [None, 5, "soon", "2025-05-15T13:32:56"])
def test_a_timestamp_that_is_none_costs_only_the_age(timestamp: Any) -> None:
    node = performance() | {"timestamp": timestamp}
    (row,) = rows_of({"SOFI": {"performance": node}}, NOW)
    assert (row.total, row.age) == (28.76, None)


def test_a_table_of_large_figures_fits_eighty_columns_and_cuts_nothing() -> None:
    rows = [
        Row("aggregate", 123_456.78, 123_456.78, -12_345.67, 12_345.67, None, 80.0),
        Row("BTC/USD", -12_345.67, 12_345.67, 12_345.67, 12_345.67, 123_456.78, 86_400.0),
    ]
    lines = shown(rows, 80)
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    assert any("-12,345.67" in line and "24 h ago" in line for line in lines)


def test_only_figures_that_changed_are_told_again() -> None:
    told: dict[str, Row] = {}
    before = rows_of({"SOFI": {"performance": performance()}, "F": {"price": 1}}, NOW)
    after = rows_of({"SOFI": {"performance": performance(30)}, "F": {"price": 2}}, NOW)
    assert list(changed_lines(before, told)) == [
        "SOFI        total 28.76  unrealized 20.50  realized 8.26  converted 1.00"
    ]
    assert list(changed_lines(before, told)) == []
    assert [line.split()[:3] for line in changed_lines(after, told)] == [["SOFI", "total", "30.00"]]


def test_the_table_follows_the_stream_of_the_database() -> None:
    tree = apply_event(None, "put", "/", {"SOFI": {"price": 1, "performance": performance(1)}})
    first = tree
    tree = apply_event(tree, "put", "/SOFI/performance", performance(2))
    tree = apply_event(tree, "patch", "/", {"SOFI/price": 3, "AMD/performance": performance(4)})
    tree = apply_event(tree, "patch", "/AMD", {"price": 5, "volume": None})
    assert tree == {
        "SOFI": {"price": 3, "performance": performance(2)},
        "AMD": {"price": 5, "performance": performance(4)},
    }
    assert first == {"SOFI": {"price": 1, "performance": performance(1)}}
    assert apply_event(tree, "put", "/AMD", None) == {"SOFI": tree["SOFI"]}


def test_orders_do_not_pile_up_in_the_table() -> None:
    tree = {"SOFI": {"price": 1}}
    for path, data in (("/SOFI/orders/a", {"qty": 1}), ("/SOFI/orders", {"a": {"qty": 1}})):
        assert apply_event(tree, "put", path, data) == tree
