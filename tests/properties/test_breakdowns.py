"""A breakdown ends in the figure that it explains, and a replayed day has the same amounts."""

import json

from hypothesis import given
from hypothesis import strategies as st

from app.channels import AGGREGATE
from app.cli.commands.replay import data_of, moved
from app.domain import (
    ATOMS,
    DAY,
    LARGEST,
    ZERO,
    DayTotals,
    Figures,
    ProfitReport,
    ReportKind,
    add_up,
    read_report,
)
from app.operations.audit import Breakdown, Shares, same_amounts

TODAY = 20_000
KINDS = st.sampled_from(("increment", "snapshot"))
AMOUNTS = st.integers(-LARGEST * ATOMS, LARGEST * ATOMS)


def reports(symbols: str = "AB") -> st.SearchStrategy[list[ProfitReport]]:
    """Reports of one day, in any order, no two the same."""
    one = st.builds(
        ProfitReport,
        st.sampled_from(symbols),
        st.sampled_from(("", "x", "y")),
        st.integers(TODAY * DAY, TODAY * DAY + 50),
        AMOUNTS,
        AMOUNTS,
        AMOUNTS,
        AMOUNTS,
        key=st.just(""),
        publication=st.just(-1),
    )
    return st.lists(one, max_size=30, unique_by=lambda report: report[:3])


FIGURES = st.builds(
    Figures, AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS, st.integers(TODAY * DAY, TODAY * DAY + 50)
)


@given(KINDS, FIGURES, reports("A"))
def test_the_running_sums_are_the_running_totals(
    kind: ReportKind, opening_balance: Figures, given_reports: list[ProfitReport]
) -> None:
    totals = DayTotals(kind, {"A": opening_balance})
    breakdown = Breakdown(kind, {"A": opening_balance})
    expected = [totals.apply(report) for report in given_reports]
    assert [breakdown.add(report).figures for report in given_reports] == expected


@given(KINDS, st.dictionaries(st.sampled_from(("A", "C", AGGREGATE)), FIGURES), reports())
def test_the_account_is_its_symbols_and_what_an_imported_file_has_beyond_them(
    kind: ReportKind, opening_balance: dict[str, Figures], given_reports: list[ProfitReport]
) -> None:
    breakdown = Breakdown(kind, opening_balance)
    for report in given_reports:
        breakdown.add(report)
    shares = breakdown.shares()
    count, account = shares.pop(AGGREGATE)
    unassigned = breakdown.unassigned()
    added = add_up(figures for _, figures in shares.values()).plus(unassigned)
    assert added.amounts == account.amounts
    assert sum(reports for reports, _ in shares.values()) == count == len(given_reports)
    if AGGREGATE not in opening_balance:
        assert unassigned.amounts == ZERO.amounts


def shares_of(kind: ReportKind, given_reports: list[ProfitReport]) -> Shares:
    breakdown = Breakdown(kind)
    for report in given_reports:
        breakdown.add(report)
    return breakdown.shares()


@given(KINDS, reports(), st.integers(0, 30), st.floats(0.001, 1e9))
def test_a_replayed_day_keeps_its_order_and_its_sums_and_no_two_reports_become_one(
    kind: ReportKind, given_reports: list[ProfitReport], day: int, speed: float
) -> None:
    in_time = sorted(given_reports, key=lambda report: report.timestamp_us)
    sent = list(moved(in_time, day * DAY, speed))
    assert [one._replace(timestamp_us=0) for one in sent] == [
        one._replace(timestamp_us=0) for one in in_time
    ]
    times = [one.timestamp_us for one in sent]
    assert times == sorted(set(times))
    assert same_amounts(shares_of(kind, sent), shares_of(kind, given_reports))


@given(reports())
def test_a_report_that_is_sent_again_is_read_as_exactly_the_same(
    given_reports: list[ProfitReport],
) -> None:
    for report in given_reports:
        message = json.dumps({"data": data_of(report), "sender": report.sender}).encode()
        assert read_report(message, TODAY * DAY)[0] == report
