"""What is explained is the figure, and what is replayed is the same day, whatever it was."""

import json

from hypothesis import given
from hypothesis import strategies as st

from app.channels import AGGREGATE
from app.cli.commands.replay import data_of, moved
from app.domain import (
    DAY,
    LARGEST,
    MILLIONTHS,
    ZERO,
    DayTotals,
    Figures,
    ProfitReport,
    ReportKind,
    read_report,
)
from app.operations.audit import Tally, account, same_amounts, steps

TODAY = 20_000
KINDS = st.sampled_from(("increment", "snapshot"))
AMOUNTS = st.integers(-LARGEST * MILLIONTHS, LARGEST * MILLIONTHS)


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
    )
    return st.lists(one, max_size=30, unique_by=lambda report: report[:3])


FIGURES = st.builds(
    Figures, AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS, st.integers(TODAY * DAY, TODAY * DAY + 50)
)


@given(KINDS, FIGURES, reports("A"))
def test_the_last_running_sum_is_the_figure_of_the_book(
    kind: ReportKind, opening: Figures, given_reports: list[ProfitReport]
) -> None:
    totals = DayTotals(kind, {"A": opening})
    expected = [totals.apply(report) for report in given_reports]
    assert [step.figures for step in steps(kind, opening, given_reports)] == expected


@given(KINDS, st.dictionaries(st.sampled_from(("A", "C", AGGREGATE)), FIGURES), reports())
def test_the_account_is_its_symbols_and_what_was_adopted_beside_them(
    kind: ReportKind, opening: dict[str, Figures], given_reports: list[ProfitReport]
) -> None:
    found = account(kind, opening, given_reports)
    added = found.remainder
    for share in found.shares:
        added = added.plus(share.figures)
    assert added.amounts == found.figures.amounts
    assert sum(share.reports for share in found.shares) == len(given_reports)
    if AGGREGATE not in opening:
        assert found.remainder.amounts == ZERO.amounts


@given(KINDS, reports(), st.integers(0, 30), st.floats(0.001, 1e9))
def test_a_replayed_day_keeps_its_order_and_its_sums_and_no_two_reports_become_one(
    kind: ReportKind, given_reports: list[ProfitReport], day: int, speed: float
) -> None:
    recorded = Tally(kind)
    for report in given_reports:
        recorded.add(report)
    in_time = sorted(given_reports, key=lambda report: report.timestamp_us)
    sent = list(moved(in_time, day * DAY, speed))
    assert [one._replace(timestamp_us=0) for one in sent] == [
        one._replace(timestamp_us=0) for one in in_time
    ]
    times = [one.timestamp_us for one in sent]
    assert times == sorted(set(times))
    replayed = Tally(kind)
    for report in sent:
        replayed.add(report)
    assert same_amounts(replayed.sums(day), recorded.sums(TODAY))


@given(reports())
def test_a_report_that_is_sent_again_is_read_as_the_same_to_the_millionth(
    given_reports: list[ProfitReport],
) -> None:
    for report in given_reports:
        message = json.dumps({"data": data_of(report), "sender": report.sender}).encode()
        assert read_report(message, TODAY * DAY)[0] == report
