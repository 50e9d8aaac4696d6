"""Whatever is reported, the figures are its sum, to the last of eight decimals."""

import json
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from app.accounting import Ledger, Outcome
from app.channels import AGGREGATE
from app.domain import (
    ATOMS,
    DAY,
    LARGEST,
    ZERO,
    DayTotals,
    Figures,
    ProfitReport,
    ReportKind,
    Totals,
    add_up,
    day_of,
    from_shown,
    to_atoms,
)

TODAY = 20_000
AMOUNTS = st.integers(-LARGEST * ATOMS, LARGEST * ATOMS)
REPORTS = st.lists(
    st.builds(
        ProfitReport,
        symbol=st.sampled_from(["SOFI", "BRK.B", "0700"]),
        sender=st.sampled_from(["", "a", "b"]),
        timestamp_us=st.integers(TODAY * DAY, TODAY * DAY + 50)
        | st.integers((TODAY - 1) * DAY, TODAY * DAY),
        total=AMOUNTS,
        unrealized=AMOUNTS,
        realized=AMOUNTS,
        converted=AMOUNTS,
        key=st.sampled_from(["", "", "1", "=x", "=1"]),
        publication=st.integers(-1, 2),
    ),
    max_size=40,
)


def identity(report: ProfitReport) -> tuple[Any, ...]:
    symbol, sender, timestamp_us = report[:3]
    return (symbol, sender, report.key, 0 if report.fill_id else timestamp_us)


def exactly(text: str) -> int:
    return int(Decimal(text).quantize(Decimal("1e-8"), ROUND_HALF_EVEN).scaleb(8))


@given(st.floats(-LARGEST, LARGEST))
def test_a_float_is_the_decimal_that_names_it(amount: float) -> None:
    assert to_atoms(amount, "total") == exactly(repr(amount))


@given(st.integers(-2 * LARGEST * ATOMS, 2 * LARGEST * ATOMS).map(lambda n: n / (2 * ATOMS)))
def test_a_float_at_a_tie_is_rounded_as_its_decimal_is(amount: float) -> None:
    assert to_atoms(amount, "total") == exactly(repr(amount))


@given(st.decimals(-LARGEST, LARGEST, allow_nan=False, places=11))
def test_a_numeric_string_is_the_decimal_that_it_spells(amount: Decimal) -> None:
    assert to_atoms(f"{amount:f}", "total") == exactly(str(amount))


# Up to 67 million; beyond that a JSON number has no room for eight decimals.
ROOM_FOR_EIGHT_DECIMALS = 2**26 * ATOMS


def shown(atoms: int, decimals: int) -> Any:
    return json.loads(Figures(atoms).shown(decimals), parse_float=Decimal)["total"]


@given(st.integers(-ROOM_FOR_EIGHT_DECIMALS, ROOM_FOR_EIGHT_DECIMALS), st.integers(0, 8))
def test_what_is_shown_is_half_even_and_reads_back(atoms: int, decimals: int) -> None:
    step = Decimal(1).scaleb(-decimals)
    expected = (Decimal(atoms) / ATOMS).quantize(step, ROUND_HALF_EVEN)
    number = shown(atoms, decimals)
    assert number == expected
    assert from_shown(float(number)) == int(expected * ATOMS)


@given(st.integers(-(10**22), 10**22), st.integers(0, 8))
def test_a_sum_beyond_all_bounds_is_the_nearest_number(atoms: int, decimals: int) -> None:
    step = 10 ** (8 - decimals)
    rounded = round(Fraction(atoms, step)) * step
    assert float(shown(atoms, decimals)) == rounded / ATOMS


def test_a_thousand_fills_of_four_thousandths_make_four() -> None:
    day = DayTotals("increment")
    for at in range(1000):
        day.apply(ProfitReport("SOFI", "", at, to_atoms(0.004, "total"), 0, 0, 0))
    assert shown(day.account.total, 2) == 4


@given(REPORTS)
def test_the_account_is_the_sum_of_its_symbols_after_every_report(
    reports: list[ProfitReport],
) -> None:
    for kind in ("increment", "snapshot"):
        totals = Totals()
        for day in (TODAY - 1, TODAY):
            totals.add_day(day, DayTotals(kind))
        for report in reports:
            _, account = totals.apply(report)
            known = totals.days[day_of(report.timestamp_us)]
            summed = add_up(known.symbols.values())
            assert account.figures.amounts == summed.amounts
            assert account.figures.timestamp_us == summed.timestamp_us


@given(REPORTS)
def test_the_order_of_reports_changes_no_figure(reports: list[ProfitReport]) -> None:
    forth, back = DayTotals("increment"), DayTotals("increment")
    for report in reports:
        forth.apply(report)
    for report in reversed(reports):
        back.apply(report)
    assert forth.symbols == back.symbols
    assert forth.account == back.account


@given(REPORTS)
def test_only_a_symbol_without_a_newer_day_is_newest(reports: list[ProfitReport]) -> None:
    totals = Totals()
    for day in (TODAY - 1, TODAY):
        totals.add_day(day, DayTotals("increment"))
    newest: dict[str, int] = {}
    for report in reports:
        for change in totals.apply(report):
            assert change.is_newest == (change.day >= newest.get(change.symbol, change.day))
            newest[change.symbol] = max(change.day, newest.get(change.symbol, change.day))
    assert {change.symbol: change.day for change in totals.newest()} == newest


@settings(max_examples=40, deadline=None)
@given(REPORTS, st.integers(1, 7), st.sampled_from(["increment", "snapshot"]))
def test_the_ledger_counts_each_identity_once_and_returns_the_same_totals(
    reports: list[ProfitReport], size: int, kind: ReportKind
) -> None:
    totals = Totals()
    first: dict[tuple[Any, ...], ProfitReport] = {}
    with TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder))
        for day in (TODAY - 1, TODAY):
            ledger.open_day(day, kind)
            totals.add_day(day, ledger.day_totals(day, kind))
        for start in range(0, len(reports), size):
            batch = reports[start : start + size]
            outcomes = ledger.record([(r, b"") for r in batch], [], "0-0", "")
            for report, outcome in zip(batch, outcomes, strict=True):
                known = first.setdefault(identity(report), report)
                if known is report:
                    assert outcome is Outcome.COUNTED
                    totals.apply(report)
                else:
                    same = known.amounts == report.amounts
                    assert outcome is (Outcome.REPEATED if same else Outcome.CONFLICT)
        assert ledger.unpublished() == list(first.values())
        ledger.mark_published()
        ledger.sync_published()
        ledger.close()
        again = Ledger(Path(folder))
        assert again.unpublished() == []
        for day in (TODAY - 1, TODAY):
            read_back = again.day_totals(day, kind)
            assert read_back.account == totals.days[day].account
            assert read_back.symbols == totals.days[day].symbols
        again.close()


@given(st.builds(Figures, AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS, st.just(1)))
def test_an_imported_account_is_continued_even_if_its_symbols_do_not_add_up_to_it(
    account: Figures,
) -> None:
    day = DayTotals("increment", {"SOFI": ZERO, AGGREGATE: account})
    day.apply(ProfitReport("SOFI", "", 2, 5, 4, 3, 2))
    assert day.account == account.plus(Figures(5, 4, 3, 2, 2))
