"""Reports that an imported daily file contains, and the journal too, count once.

They move from the opening balance to the ledger's reports, so both together are the file's figures
at every moment, whichever of them come, and wherever the bridge is killed.
"""

import json
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from app.accounting import Batch, Bookkeeper, Ledger, LedgerReader, path_of, read_figures
from app.channels import AGGREGATE
from app.domain import (
    DAY,
    FIELDS,
    DayTotals,
    Figures,
    ProfitReport,
    ReportKind,
    add_up,
    day_of,
    to_text,
)
from app.operations.audit import contradictions

TODAY = 20_000
DAYS = (TODAY - 1, TODAY)
END_OF_JOURNAL = "9-0"
SYMBOLS = st.sampled_from(["SOFI", "BRK.B", "0700"])
AMOUNTS = st.integers(-(10**15), 10**15)
TIMES = st.integers(0, 20)
"""Microseconds of the day, and so few that reports are often as old as the file's figures."""

File = dict[str, dict[str, float]]
FILES = st.dictionaries(
    SYMBOLS | st.just(AGGREGATE),
    st.fixed_dictionaries(
        dict.fromkeys(FIELDS, st.integers(-(10**9), 10**9).map(lambda cents: cents / 100))
        | {"at": TIMES}
    ),
)
REPORTS = st.lists(
    st.builds(
        lambda day, time, *rest: ProfitReport(rest[0], rest[1], day * DAY + time, *rest[2:]),
        st.sampled_from(DAYS),
        TIMES,
        SYMBOLS,
        st.sampled_from(["a", "b"]),
        *[AMOUNTS] * 4,
    ),
    max_size=20,
)
STARTS = st.lists(st.tuples(st.integers(1, 7), st.booleans()), min_size=1)
"""How many reports a batch has, and whether the bridge is killed right after its commit."""


def importable(base: Path, day: int, file: File, kind: ReportKind) -> DayTotals:
    """Leave a daily file; return the totals that a day starts with when it is imported."""
    path = path_of(base, day)
    path.parent.mkdir(parents=True, exist_ok=True)
    records = {
        symbol: {name: record[name] for name in FIELDS}
        | {"timestamp": to_text(day * DAY + int(record["at"]))}
        for symbol, record in file.items()
    }
    path.write_text(json.dumps(records))
    totals = DayTotals(kind, read_figures(path))
    totals.account = totals.account.plus(
        Figures(timestamp_us=add_up(totals.symbols.values()).timestamp_us)
    )
    return totals


def opened(base: Path, kind: ReportKind) -> tuple[Ledger, Bookkeeper]:
    ledger = Ledger(base)
    bookkeeper = Bookkeeper(ledger, base, kind, lambda: TODAY * DAY + 100)
    bookkeeper.open(lambda: END_OF_JOURNAL)
    return ledger, bookkeeper


def assert_ledger_has(base: Path, day: int, expected: DayTotals, kind: ReportKind) -> None:
    """Opening balance and reports make the expected figures, added up in either way."""
    reader = LedgerReader(base)
    totals = DayTotals(kind, reader.opening_balance(day))
    for report in reader.reports(day):
        totals.apply(report)
    assert (totals.symbols, totals.account) == (expected.symbols, expected.account)
    assert contradictions(reader.figures(day, kind), totals) == []
    reader.close()


@settings(max_examples=80, deadline=None)
@given(st.tuples(FILES, FILES), REPORTS, STARTS, st.integers(0, 20))
def test_what_the_file_contains_is_recorded_and_changes_no_figure(
    files: tuple[File, File],
    reports: list[ProfitReport],
    starts: list[tuple[int, bool]],
    imported_before: int,
) -> None:
    with TemporaryDirectory() as folder:
        base = Path(folder)
        expected = {
            day: importable(base, day, file, "increment")
            for day, file in zip(DAYS, files, strict=True)
        }
        until = {
            (day, symbol): figures.timestamp_us
            for day, totals in expected.items()
            for symbol, figures in totals.symbols.items()
        }
        ledger, bookkeeper = opened(base, "increment")
        seen: set[tuple[str, str, int]] = set()
        batches = cycle(starts)
        position = 0
        while position < len(reports):
            size, is_killed = next(batches)
            is_before = position < imported_before
            part = reports[position : min(position + size, imported_before) if is_before else None]
            part = part[:size]
            position += len(part)
            new = []
            for report in part:
                slot = day_of(report.timestamp_us), report.symbol
                is_in_file = is_before and report.timestamp_us <= until.get(slot, -1)
                if report[:3] not in seen and not is_in_file:
                    expected[slot[0]].apply(report)
                    new.append(report)
                seen.add(report[:3])
            bookkeeper.count(Batch("1-0", [(one, b"") for one in part], may_be_imported=is_before))
            assert ledger.unpublished() == new, "what is to be published"
            if is_killed:
                ledger.close()
                ledger, bookkeeper = opened(base, "increment")
                bookkeeper.rendered_at_start()
            ledger.mark_published()
            for day in bookkeeper.totals.days.keys() & expected.keys():
                known = bookkeeper.totals.days[day]
                assert known.symbols == expected[day].symbols
                assert known.account == expected[day].account
        for day in bookkeeper.totals.days.keys() & expected.keys():
            assert_ledger_has(base, day, expected[day], "increment")
        assert ledger.rebuilding_until == END_OF_JOURNAL
        ledger.close()


@settings(max_examples=20, deadline=None)
@given(FILES, REPORTS)
def test_snapshots_older_than_the_file_replace_nothing(
    file: File, reports: list[ProfitReport]
) -> None:
    with TemporaryDirectory() as folder:
        base = Path(folder)
        expected = importable(base, TODAY, file, "snapshot")
        until = {symbol: figures.timestamp_us for symbol, figures in expected.symbols.items()}
        ledger, bookkeeper = opened(base, "snapshot")
        todays = {report[:3]: report for report in reports if day_of(report.timestamp_us) == TODAY}
        for report in todays.values():
            if report.timestamp_us >= until.get(report.symbol, -1):
                expected.apply(report)
        batch = Batch("1-0", [(one, b"") for one in todays.values()], may_be_imported=True)
        bookkeeper.count(batch)
        assert bookkeeper.totals.days[TODAY].symbols == expected.symbols
        assert bookkeeper.totals.days[TODAY].account == expected.account
        assert_ledger_has(base, TODAY, expected, "snapshot")
        ledger.close()
