"""Where a figure comes from, for a person who asks."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.accounting import path_of
from app.domain import ATOMS, Figures, date_of
from tests.recorded import hour, made, record
from tests.system import System, run_here, today, wait_until

DAY = today() - 1
DATE = str(date_of(DAY))


def explain(base: Path, *words: str) -> tuple[int, str, str]:
    environment = {"PROFIT_BASE_PATH": str(base)}
    done = run_here(environment, "explain", *words, "--day", DATE)
    return done.returncode, done.stdout, done.stderr


def json_lines(text: str) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]]:
    """What is explained, the lines that explain it, and the result."""
    first, *lines, last = map(json.loads, text.splitlines())
    return first, lines, last


def as_json(base: Path, *words: str) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]]:
    return json_lines(explain(base, *words, "--json")[1])


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A day of SOFI and AMD; SOFI's second report came late."""
    reports = [
        made("SOFI", hour(DAY, 14), 2_876_499_999),
        made("AMD", hour(DAY, 14), ATOMS),
        made("SOFI", hour(DAY, 13), -350_000_000, "grid_bot"),
        made("SOFI", hour(DAY, 15), 400_000),
    ]
    record(tmp_path, DAY, reports)
    return tmp_path


def test_each_report_is_printed_with_the_sum_after_it_and_the_last_is_the_figure(
    base: Path,
) -> None:
    code, out, errors = explain(base, "sofi")
    assert (code, errors) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["SOFI", "on", DATE, "(UTC):", "3", "reports"]
    assert [" ".join(line) for line in lines[3:6]] == [
        "14:00:00.000000 scale_t 28.76499999 0.00000001 28.76499998 0.00 28.76499999",
        "13:00:00.000000 grid_bot -3.50 0.00000001 -3.50000001 0.00 25.26499999",
        "15:00:00.000000 scale_t 0.004 0.00000001 0.00399999 0.00 25.26899999",
    ]
    assert lines[7][:4] == ["shown", "as", "total", "25.27"]
    assert f"equal to {path_of(base, DAY)}" in out
    points = {line.rindex(".") for line in out.splitlines()[3:6]}
    assert len(points) == 1, "the sums stand below each other"


def test_programs_get_the_same_as_json_lines(base: Path) -> None:
    explained, reports, result = as_json(base, "SOFI")
    assert [one["sum"]["total"] for one in reports] == [28.76499999, 25.26499999, 25.26899999]
    assert reports[1]["sender"] == "grid_bot"
    assert result["sum"]["total"] == 25.26899999
    assert result["shown"]["total"] == 25.27
    assert result["equal"] is True
    assert explained["count"] == 3
    assert explained["opening_balance"] is None


def test_the_last_reports_come_with_what_the_others_made(base: Path) -> None:
    _, out, _ = explain(base, "SOFI", "--last", "1")
    lines = out.splitlines()
    assert lines[3].split()[:3] == ["...", "2", "earlier"]
    assert lines[3].endswith("25.26499999")
    assert lines[4].endswith("25.26899999")
    explained, reports, result = as_json(base, "SOFI", "--last", "1")
    assert len(reports) == 1
    assert explained["left_out"]["reports"] == 2
    assert result["sum"]["total"] == 25.26899999


def test_the_account_is_explained_as_what_its_symbols_add_up_to(base: Path) -> None:
    code, out, _ = explain(base, "Aggregate")
    assert code == 0
    rows = [line.split() for line in out.splitlines()[3:6]]
    assert [row[:3] for row in rows] == [
        ["AMD", "1", "1.00"],
        ["SOFI", "3", "25.26899999"],
        ["sum", "4", "26.26899999"],
    ]
    _, symbols, result = as_json(base, "aggregate")
    assert {one["symbol"]: one["total"] for one in symbols} == {"AMD": 1, "SOFI": 25.26899999}
    assert result["shown"]["total"] == 26.27


def test_the_sums_of_an_imported_day_begin_at_its_opening_balance(tmp_path: Path) -> None:
    opening_balance = {
        "SOFI": Figures(10 * ATOMS, 0, 10 * ATOMS, 0, hour(DAY, 9)),
        "aggregate": Figures(12 * ATOMS, 0, 12 * ATOMS, 0, hour(DAY, 9)),
    }
    record(tmp_path, DAY, [made("SOFI", hour(DAY, 10), ATOMS)], opening_balance=opening_balance)
    code, out, _ = explain(tmp_path, "SOFI")
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert lines[3][:4] == ["opening", "balance", "daily", "file"]
    assert lines[3][4] == "10.00"
    assert lines[4][-1] == "11.00"
    assert as_json(tmp_path, "SOFI")[0]["opening_balance"]["total"] == 10
    code, out, _ = explain(tmp_path, "aggregate")
    assert code == 0
    assert any("(unassigned)" in line and "2.00" in line for line in out.splitlines())
    assert as_json(tmp_path, "aggregate")[0]["unassigned"]["total"] == 2


def test_no_report_is_lost_between_pages(tmp_path: Path) -> None:
    # More than two pages, and most of them of one time: what a page ends in the middle of.
    count = 2_345
    reports = [made(f"S{n}", hour(DAY, 12 + n // 2_000), ATOMS) for n in range(count)]
    record(tmp_path, DAY, [*reports, made("SOFI", hour(DAY, 12), 1)])
    *_, result = as_json(tmp_path, "aggregate")
    assert result["sum"]["total"] == round(count + 1 / ATOMS, 8)
    assert result["equal"] is True
    replay = run_here(
        {"PROFIT_BASE_PATH": str(tmp_path)}, "replay", "--day", DATE, "--dry-run", "--json",
        "--speed", "1e6",
    )  # fmt: skip
    assert len(replay.stdout.splitlines()) == count + 1 + 1
    assert as_json(tmp_path, "SOFI")[-1]["sum"]["total"] == 1 / ATOMS


def test_a_snapshot_that_is_older_is_said_to_replace_nothing(tmp_path: Path) -> None:
    reports = [made("SOFI", hour(DAY, 12), 5 * ATOMS), made("SOFI", hour(DAY, 11), 4 * ATOMS)]
    record(tmp_path, DAY, reports, "snapshot")
    code, out, _ = explain(tmp_path, "SOFI")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].endswith("2 snapshots")
    assert lines[4].endswith("5.00  older: replaces nothing")


def test_a_daily_file_with_other_figures_is_reported_with_exit_code_1(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.operations.audit.daily_file_check.FILE_WITHIN", 0.1)
    path = path_of(base, DAY)
    path.write_text(path.read_text().replace("25.27", "25.28"))
    code, out, _ = explain(base, "SOFI")
    assert code == 1
    assert f"differs from {path}: total 25.28 there, 25.27 here" in out
    path.unlink()
    code, out, _ = explain(base, "SOFI")
    assert code == 1
    assert "there is no " in out


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (("SOFY",), 1, f"no SOFY on {DATE}; did you mean SOFI?"),
        (("ZZZZ",), 1, "there are AMD, SOFI"),
        (("S\nO",), 2, "symbol has a character that does not print"),
        (("SOFI", "--last", "0"), 2, "must be a whole number above 0"),
        (("SOFI", "--day", "soon"), 2, "must be a day"),
        (("SOFI", "--day", "2001-09-09"), 1, f"nothing of 2001-09-09; the nearest it has: {DATE}"),
    ],
)
def test_what_is_not_there_is_one_line_that_says_what_is(
    base: Path, words: tuple[str, ...], code: int, error: str
) -> None:
    day = () if "--day" in words else ("--day", DATE)
    done = run_here({"PROFIT_BASE_PATH": str(base)}, "explain", *words, *day)
    assert (done.returncode, done.stdout) == (code, "")
    assert len(done.stderr.splitlines()) == 1
    assert error in done.stderr


def test_no_ledger_is_one_line(tmp_path: Path) -> None:
    code, _, errors = explain(tmp_path, "SOFI")
    assert code == 1
    assert "there is no ledger" in errors
    assert len(errors.splitlines()) == 1


def test_a_figure_is_explained_while_the_bridge_counts_on(system: System) -> None:
    system.start_bridge()
    for _ in range(20):
        system.report("SOFI", 0.004)
    wait_until(lambda: bool(system.daily_file()), "the daily file")
    done = system.command("explain", "SOFI", "--json")
    assert done.returncode == 0, done.stdout
    _, reports, result = json_lines(done.stdout)
    assert result["equal"] is True
    assert result["sum"]["total"] == round(0.004 * len(reports), 6)
