"""What was recorded is counted at the next start, whenever that is; lost ledgers are rebuilt."""

import json
import sqlite3
from pathlib import Path
from unittest.mock import Mock

import pytest

from app.accounting import Batch, Bookkeeper, Ledger, LedgerReader, path_of, read_repetitions
from app.domain import ATOMS, DAY, LARGEST, ProfitReport, RenderedBatch, to_text
from app.errors import RetryLater, StopProgram, WrongSetting
from app.operations.audit import LedgerDay
from app.settings import Settings

TODAY = 20_000
NOON = TODAY * DAY + DAY // 2


def recorded(folder: Path, *reports: ProfitReport) -> None:
    """Leave reports recorded, as a bridge does that is killed before it publishes them."""
    ledger = Ledger(folder)
    Bookkeeper(ledger, folder, "increment", lambda: NOON).open(lambda: "0-0")
    for report in reports:
        ledger.open_day(report.timestamp_us // DAY, "increment")
    ledger.record([(report, b"") for report in reports], [], "0-0", "")
    ledger.close()


def report(at: int, symbol: str = "SOFI") -> ProfitReport:
    return ProfitReport(symbol, "", at, ATOMS, 0, 0, 0)


def total_in(fields: bytes) -> float:
    total: float = json.loads(fields)["total"]
    return total


def leave_file(folder: Path, total: float) -> None:
    """Leave today's file as another program, or a ledger that was lost, made it."""
    path = path_of(folder, TODAY)
    path.parent.mkdir(parents=True)
    amounts = {"total": total, "unrealized": 0, "realized": 0, "converted": 0}
    path.write_text(json.dumps({"SOFI": amounts | {"timestamp": to_text(NOON)}}))


def rebuilding_until(folder: Path, journal_end: str) -> str | None:
    """Return `rebuilding_until` of a bridge that starts now, before it reads anything."""
    ledger = Ledger(folder)
    Bookkeeper(ledger, folder, "increment", lambda: NOON).open(lambda: journal_end)
    ledger.close()
    return ledger.rebuilding_until


@pytest.mark.parametrize("has_file", [True, False])
def test_a_new_ledger_is_rebuilt_from_where_the_journal_ends_and_only_once(
    tmp_path: Path, has_file: bool
) -> None:
    if has_file:
        leave_file(tmp_path, 1)
    assert rebuilding_until(tmp_path, "7-0") == "7-0"
    assert rebuilding_until(tmp_path, "9-0") == "7-0", "killed before it had read anything"
    ledger = Ledger(tmp_path)
    ledger.finish_rebuilding()
    ledger.close()
    assert rebuilding_until(tmp_path, "9-0") is None


def test_a_ledger_that_has_today_is_not_rebuilt(tmp_path: Path) -> None:
    recorded(tmp_path, report(NOON))
    ledger = Ledger(tmp_path)
    ledger.finish_rebuilding()
    ledger.close()
    leave_file(tmp_path, 1)
    assert rebuilding_until(tmp_path, "9-0") is None


def test_an_old_copy_of_a_ledger_that_lacks_today_is_rebuilt(tmp_path: Path) -> None:
    recorded(tmp_path, report(NOON - DAY))
    ledger = Ledger(tmp_path)
    ledger.finish_rebuilding()
    ledger.close()
    leave_file(tmp_path, 1)
    assert rebuilding_until(tmp_path, "9-0") == "9-0"


def test_reports_that_the_journal_brings_of_an_imported_file_are_no_difference_for_an_audit(
    tmp_path: Path,
) -> None:
    leave_file(tmp_path, 2)
    ledger = Ledger(tmp_path)
    bookkeeper = Bookkeeper(ledger, tmp_path, "increment", lambda: NOON)
    bookkeeper.open(lambda: "9-0")
    reader = LedgerReader(tmp_path)
    day = LedgerDay(Settings(profit_base_path=tmp_path), TODAY, TODAY, reader)
    bookkeeper.count(
        Batch("1-0", [(report(NOON - 1), b""), (report(NOON + 1), b"")], may_be_imported=True)
    )
    day.catch_up()
    assert {symbol: record["total"] for symbol, record in day.records().items()} == {
        "SOFI": 3.0,
        "aggregate": 3.0,
    }
    before = {"total": 2.0, "unrealized": 0.0, "realized": 0.0, "converted": 0.0}
    assert day.had("SOFI", before | {"timestamp": to_text(NOON)})
    reader.close()
    ledger.close()


@pytest.mark.parametrize("days_later", [0, 1, 5, 8, 30])
def test_unpublished_reports_are_published_however_late_the_next_start_is(
    tmp_path: Path, days_later: int
) -> None:
    recorded(tmp_path, report(NOON), report((TODAY + 1) * DAY + 1, symbol="HOOD"))
    ledger = Ledger(tmp_path)
    bookkeeper = Bookkeeper(ledger, tmp_path, "increment", lambda: NOON + days_later * DAY)
    bookkeeper.open(lambda: "0-0")
    to_publish = bookkeeper.rendered_at_start().newest
    assert [(symbol, total_in(fields)) for symbol, fields in to_publish] == [
        ("SOFI", 1),
        ("aggregate", 1),
        ("HOOD", 1),
        ("aggregate", 1),
    ]
    ledger.close()


def test_a_restart_just_before_midnight_knows_the_reports_of_just_after(tmp_path: Path) -> None:
    recorded(tmp_path, report((TODAY + 1) * DAY + 1))
    ledger = Ledger(tmp_path)
    ledger.mark_published()
    bookkeeper = Bookkeeper(ledger, tmp_path, "increment", lambda: (TODAY + 1) * DAY - 1)
    bookkeeper.open(lambda: "0-0")
    rendered = bookkeeper.count(Batch("0-0", [(report((TODAY + 1) * DAY - 2), b"")])).rendered
    assert [symbol for symbol, _ in rendered.by_day[TODAY]] == ["SOFI", "aggregate"]
    assert not rendered.newest
    ledger.close()


def test_a_day_with_reports_keeps_their_kind(tmp_path: Path) -> None:
    recorded(tmp_path, report(NOON))
    ledger = Ledger(tmp_path)
    with pytest.raises(WrongSetting, match="PROFIT_REPORT_KIND=snapshot"):
        Bookkeeper(ledger, tmp_path, "snapshot", lambda: NOON).check_kind()
    Bookkeeper(ledger, tmp_path, "snapshot", lambda: NOON + DAY).check_kind()
    ledger.close()


def test_a_day_opened_by_a_batch_that_the_disk_did_not_take_is_rendered_with_the_next_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_file(tmp_path, 5)
    ledger = Ledger(tmp_path)
    bookkeeper = Bookkeeper(ledger, tmp_path, "increment", lambda: NOON + DAY)
    bookkeeper.open(lambda: "0-0")
    batch = Batch("0-0", [(report(NOON, symbol="HOOD"), b"")])
    with monkeypatch.context() as disk:
        disk.setattr(ledger, "record", Mock(side_effect=sqlite3.OperationalError("disk is full")))
        with pytest.raises(RetryLater):
            bookkeeper.count(batch)
    records = bookkeeper.count(batch).rendered.by_day[TODAY]
    totals = {symbol: total_in(fields) for symbol, fields in records}
    assert totals == {"SOFI": 5, "HOOD": 1, "aggregate": 6}
    ledger.close()


def test_old_days_are_deleted_in_small_steps_and_the_others_stay_complete(tmp_path: Path) -> None:
    newest = report(NOON + 10 * DAY, symbol="HOOD")
    recorded(tmp_path, *(report(NOON + n) for n in range(25)), report(NOON + 2 * DAY), newest)
    ledger = Ledger(tmp_path)
    bookkeeper = Bookkeeper(ledger, tmp_path, "increment", lambda: NOON + 10 * DAY)
    bookkeeper.open(lambda: "0-0")
    reader = LedgerReader(tmp_path)

    def reports() -> list[int]:
        return [len(list(reader.reports(day))) for day in (TODAY, TODAY + 2)]

    bookkeeper.prune(8, limit=10)
    assert reports() == [25, 1], "nothing is deleted that was not published"
    bookkeeper.rendered_at_start()
    ledger.mark_published()
    ledger.sync_published()
    left = []
    for _ in range(4):
        bookkeeper.prune(8, limit=10)
        left.append(reports())
    assert left == [[15, 1], [5, 1], [0, 1], [0, 1]]
    assert reader.complete_from() == TODAY + 2
    reader.close()
    counted = bookkeeper.count(Batch("0-0", [(report(NOON + 10 * DAY), b"")]))
    (_, (_, account)) = counted.rendered.newest
    assert total_in(account) == 2
    ledger.close()


def test_a_clock_that_is_years_ahead_has_nothing_of_the_present_deleted(tmp_path: Path) -> None:
    recorded(tmp_path, report(NOON))
    ledger = Ledger(tmp_path)
    bookkeeper = Bookkeeper(ledger, tmp_path, "increment", lambda: NOON + 1_000 * DAY)
    bookkeeper.open(lambda: "0-0")
    bookkeeper.rendered_at_start()
    ledger.mark_published()
    ledger.sync_published()
    bookkeeper.prune(8, limit=10)
    assert not ledger.is_empty(TODAY)
    ledger.close()


def test_a_clock_that_was_a_week_ahead_makes_no_late_report_the_newest(tmp_path: Path) -> None:
    now = NOON
    ledger = Ledger(tmp_path)
    bookkeeper = Bookkeeper(ledger, tmp_path, "increment", lambda: now)
    bookkeeper.open(lambda: "0-0")

    def rendered_of(one: ProfitReport) -> RenderedBatch:
        rendered = bookkeeper.count(Batch("0-0", [(one, b"")])).rendered
        ledger.mark_published()
        return rendered

    rendered_of(report(NOON))
    now = NOON + 9 * DAY
    rendered_of(report(now, "F"))
    now = NOON
    rendered = rendered_of(report(NOON - DAY))
    assert "SOFI" in dict(rendered.by_day[TODAY - 1])
    assert "SOFI" not in dict(rendered.newest)
    # The file of a day that was forgotten is written from all of it again.
    assert "SOFI" in dict(rendered.by_day[TODAY])
    ledger.close()


def test_sums_beyond_64_bits_are_exact_in_rows_and_in_opening_balances(tmp_path: Path) -> None:
    leave_file(tmp_path, 300.0 * LARGEST)
    ledger = Ledger(tmp_path)
    bookkeeper = Bookkeeper(ledger, tmp_path, "increment", lambda: NOON)
    bookkeeper.open(lambda: "9-0")
    largest = [(report(NOON - n)._replace(total=LARGEST * ATOMS), b"") for n in range(100)]
    bookkeeper.count(Batch("1-0", largest, may_be_imported=True))
    later = [(report(NOON + 1 + n)._replace(total=LARGEST * ATOMS), b"") for n in range(100)]
    bookkeeper.count(Batch("1-0", [*later, (report(NOON + 200)._replace(total=1), b"")]))
    expected = 400 * LARGEST * ATOMS + 1
    assert bookkeeper.totals.days[TODAY].account.total == expected
    ledger.mark_published()
    ledger.sync_published()
    ledger.close()
    reader = LedgerReader(tmp_path)
    assert reader.opening_balance(TODAY)["SOFI"].total == 200 * LARGEST * ATOMS
    assert reader.figures(TODAY, "increment")["SOFI"].total == expected
    reader.close()


def test_repetitions_are_few_and_go_with_their_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.accounting.repetitions.REPETITIONS_LIMIT", 2)
    recorded(tmp_path, *(report(NOON + n) for n in range(4)))
    ledger = Ledger(tmp_path)
    for second, times in enumerate(([0], [1], [2, 2], [0, 3])):
        again = [(report(NOON + number), b"") for number in times]
        ledger.record(again, [], "0-0", to_text(NOON + second))
    found = read_repetitions(tmp_path)
    assert [(one.report.timestamp_us - NOON, one.times) for one in found.values()] == [
        (0, 1),
        (3, 1),
    ]
    ledger.mark_published()
    ledger.sync_published()
    ledger.prune(TODAY + 1, 3)
    assert [one.report.timestamp_us - NOON for one in read_repetitions(tmp_path).values()] == [3]
    ledger.close()


@pytest.mark.parametrize("damaged", ["ledger", "daily file"])
def test_what_cannot_be_read_at_the_start_is_reported_in_one_line(
    tmp_path: Path, damaged: str
) -> None:
    if damaged == "ledger":
        recorded(tmp_path, *(report(NOON + n) for n in range(1000)))
        with (tmp_path / "ledger.sqlite3").open("r+b") as file:
            whole = file.read()
            file.seek(4096)
            file.write(b"\xff" * (len(whole) - 4096))
    else:
        path_of(tmp_path, TODAY).mkdir(parents=True)
    with pytest.raises(StopProgram, match="cannot be"):
        rebuilding_until(tmp_path, "0-0")
