"""What an audit reports as a difference, and what it does not."""

from typing import Any

import msgspec
import pytest

from app.accounting import with_opening_balance
from app.domain import DayTotals, Figures, ProfitReport, ReportKind
from app.operations.audit import Difference, compare, contradictions, differences

AT = "2025-05-15T13:32:56.582434+00:00"


def record(total: float = 1.0, **fields: Any) -> dict[str, Any]:
    amounts = {"total": total, "unrealized": total, "realized": 0.0, "converted": 0.0}
    return amounts | {"timestamp": AT} | fields


def report(symbol: str, total: int, at: int) -> ProfitReport:
    return ProfitReport(symbol, "bot", at, total, total, 0, 0)


def test_equal_figures_are_no_difference_however_json_writes_them() -> None:
    there = {"aggregate": record(1), "SOFI": dict(reversed(record(1).items()))}
    assert not differences("file", {"SOFI": record(1.0), "aggregate": record(1.0)}, there)


def test_every_figure_that_differs_is_named() -> None:
    found = differences("file", {"SOFI": record(2.0)}, {"SOFI": record(2.01, timestamp="later")})
    assert found == [
        Difference("file", "SOFI", "total", 2.0, 2.01),
        Difference("file", "SOFI", "unrealized", 2.0, 2.01),
        Difference("file", "SOFI", "timestamp", AT, "later"),
    ]


def test_a_missing_figure_and_one_too_many_are_named() -> None:
    there = record(note="x")
    del there["converted"]
    assert differences("file", {"SOFI": record()}, {"SOFI": there}) == [
        Difference("file", "SOFI", "converted", 0.0, None),
        Difference("file", "SOFI", "note", None, "x"),
    ]


@pytest.mark.parametrize("there", [True, "1.0", [1.0], {}])
def test_a_value_that_is_not_a_number_is_a_difference(there: Any) -> None:
    found = differences("file", {"SOFI": record(1.0)}, {"SOFI": record() | {"total": there}})
    assert found == [Difference("file", "SOFI", "total", 1.0, there)]


@pytest.mark.parametrize("there", [5, "text", []])
def test_an_entry_that_is_not_a_record_is_one_difference(there: Any) -> None:
    assert differences("file", {"SOFI": record()}, {"SOFI": there}) == [
        Difference("file", "SOFI", "", record(), there)
    ]


def test_three_places_are_compared_and_firebase_only_for_what_it_must_show() -> None:
    ledger = {"SOFI": record(1.0), "HOOD": record(2.0), "aggregate": record(3.0)}
    file = {"SOFI": record(1.0), "AMD": record(4.0), "aggregate": record(3.0)}
    firebase = {"aggregate": record(3.5), "GME": record(5.0)}
    assert compare(ledger, file, firebase, stored={"SOFI", "aggregate"}) == [
        Difference("daily file", "HOOD", "", record(2.0), None),
        Difference("daily file", "AMD", "", None, record(4.0)),
        Difference("Firebase", "SOFI", "", record(1.0), None),
        Difference("Firebase", "aggregate", "total", 3.0, 3.5),
        Difference("Firebase", "aggregate", "unrealized", 3.0, 3.5),
        Difference("Firebase", "GME", "", None, record(5.0)),
    ]


OPENING_BALANCE = {"SOFI": Figures(5, 5, 0, 0, 10), "aggregate": Figures(9, 8, 1, 0, 20)}


def totals(kind: ReportKind) -> DayTotals:
    totals = DayTotals(kind, OPENING_BALANCE)
    for one in (report("SOFI", 7, 30), report("HOOD", 2, 40), report("SOFI", 1, 25)):
        totals.apply(one)
    return totals


REPORTED = {
    "increment": {"SOFI": Figures(8, 8, 0, 0, 30), "HOOD": Figures(2, 2, 0, 0, 40)},
    "snapshot": {"SOFI": Figures(7, 7, 0, 0, 30), "HOOD": Figures(2, 2, 0, 0, 40)},
}


def summed(kind: ReportKind) -> dict[str, Figures]:
    return with_opening_balance(kind, OPENING_BALANCE, REPORTED[kind])


@pytest.mark.parametrize("kind", ["increment", "snapshot"])
def test_both_ways_to_add_up_a_day_continue_an_account_that_is_more_than_its_symbols(
    kind: Any,
) -> None:
    assert not contradictions(summed(kind), totals(kind))


@pytest.mark.parametrize("kind", ["increment", "snapshot"])
def test_an_account_that_is_not_the_sum_is_a_contradiction(kind: Any) -> None:
    wrong = totals(kind)
    account = wrong.account
    wrong.account = msgspec.structs.replace(account, realized=account.realized + 1)
    assert contradictions(summed(kind), wrong) == [
        Difference("ledger", "aggregate", "realized", account.realized, account.realized + 1)
    ]


def test_reports_that_add_up_to_something_else_are_a_contradiction() -> None:
    wrong = with_opening_balance(
        "increment", OPENING_BALANCE, REPORTED["increment"] | {"HOOD": Figures(3, 2, 0, 0, 40)}
    )
    assert contradictions(wrong, totals("increment")) == [
        Difference("ledger", "HOOD", "total", 3, 2),
        Difference("ledger", "aggregate", "total", 20, 19),
    ]


@pytest.mark.parametrize("missing", ["HOOD", "SOFI"])
def test_a_symbol_that_only_one_way_has_is_a_contradiction(missing: str) -> None:
    right = summed("increment")
    less = {symbol: figures for symbol, figures in right.items() if symbol != missing}
    assert {one.symbol for one in contradictions(less, totals("increment"))} == {missing}
    more = right | {"GME": Figures(1, 1, 0, 0, 50)}
    assert {one.symbol for one in contradictions(more, totals("increment"))} == {"GME"}
