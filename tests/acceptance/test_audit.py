"""`python -m app audit` names what differs and fixes it; what is under way is no difference."""

import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from app.accounting import Ledger, path_of
from app.dev.processes import Process, free_port
from app.domain import ATOMS, DAY, ProfitReport
from tests.system import PATIENCE, System, envelope, midnight, report, today, wait_until

PATIENT = ("--within", str(PATIENCE / 2))
"""For an audit that is to find nothing, however slow the machine is."""
AT_ONCE = ("--within", "0")
"""For an audit of a system that has come to rest."""


def audit(system: System, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return system.command("audit", *options, **environment)


def at_rest(system: System) -> bool:
    nodes = system.firebase.get() or {}
    shown = {symbol: node["performance"] for symbol, node in nodes.items() if "performance" in node}
    return bool(shown) and shown == system.daily_file()


@pytest.fixture
def bridge(system: System) -> Process:
    """A bridge and a worker, and three symbols in file and Firebase."""
    bridge = system.start_bridge()
    system.start_worker()
    for symbol, total in (("SOFI", 28.76), ("HOOD", 1), ("AMD", -2.5), ("SOFI", 0.014)):
        system.report(symbol, total)
    wait_until(lambda: system.total("SOFI") == 28.77, "the file")
    wait_until(lambda: at_rest(system), "Firebase equal to the file")
    return bridge


def stop(bridge: Process) -> None:
    bridge.signal(signal.SIGTERM)
    assert bridge.wait(PATIENCE) == 0


def change_file(system: System) -> dict[str, Any]:
    """Make one figure wrong, one missing, and one record too many; what it was."""
    right = system.daily_file()
    wrong = json.loads(json.dumps(right))
    wrong["SOFI"]["total"] = 30.0
    del wrong["HOOD"]
    wrong["GME"] = right["AMD"]
    path_of(system.base, today()).write_text(json.dumps(wrong))
    return right


def test_a_healthy_system_audits_clean(system: System, bridge: Process) -> None:
    done = audit(system, *PATIENT)
    assert (done.returncode, done.stderr) == (0, "")
    assert "no difference" in done.stdout
    found = json.loads(audit(system, *PATIENT, "--json").stdout)
    assert found["equal"]
    assert found["reports"] == 4
    assert found["compared"] == {"ledger": 4, "daily file": 4, "Firebase": 4}


def test_nodes_that_no_symbol_of_ours_has_are_named_and_left_alone(
    system: System, bridge: Process
) -> None:
    system.firebase.put("services/A+B", {"performance": {"total": 1}})
    system.firebase.put("services/A%2BB", {"performance": {"total": 1}})
    done = audit(system, *AT_ONCE, "--fix")
    assert done.returncode == 0
    assert "no symbol's node, left alone: 'A+B' in Firebase" in done.stdout
    assert system.firebase.get()["A+B"] == {"performance": {"total": 1}}


def test_a_changed_daily_file_is_reported_figure_by_figure_and_fixed(
    system: System, bridge: Process
) -> None:
    stop(bridge)
    right = change_file(system)
    done = audit(system, *AT_ONCE)
    assert done.returncode == 1
    assert "daily file  SOFI  total: ledger 28.77, there 30.0" in done.stdout
    assert "daily file  HOOD  is missing" in done.stdout
    assert "daily file  GME  is too much" in done.stdout
    assert "3 differences" in done.stdout
    assert "Firebase  " not in done.stdout
    fixed = audit(system, *AT_ONCE, "--fix")
    assert fixed.returncode == 0, fixed.stdout
    assert "no difference" in fixed.stdout
    assert system.daily_file() == right


@pytest.mark.parametrize("state", ["missing", "torn"])
def test_a_daily_file_that_cannot_be_read_is_reported_and_written_again(
    system: System, bridge: Process, state: str
) -> None:
    stop(bridge)
    right = system.daily_file()
    path = path_of(system.base, today())
    path.unlink() if state == "missing" else path.write_bytes(path.read_bytes()[:40])
    done = audit(system, *AT_ONCE)
    assert done.returncode == 1
    assert "4 differences" in done.stdout
    assert ("there is no " if state == "missing" else "is not a daily file") in done.stdout
    assert audit(system, *AT_ONCE, "--fix").returncode == 0
    assert system.daily_file() == right
    assert len(list(path.parent.glob("*.unusable-*"))) == (state == "torn")


def test_a_file_that_somebody_changes_is_fixed_by_the_bridge_that_runs(
    system: System, bridge: Process
) -> None:
    right = change_file(system)
    done = audit(system, *PATIENT, "--fix")
    assert done.returncode == 0, done.stdout
    assert system.daily_file() == right


def test_wrong_values_in_firebase_are_reported_one_by_one_and_fixed(
    system: System, bridge: Process
) -> None:
    right = {symbol: node["performance"] for symbol, node in system.firebase.get().items()}
    stop(bridge)
    system.firebase.put("services/SOFI/performance/realized", 0.01)
    system.firebase.put("services/SOFI/performance/note", "by hand")
    system.firebase.put("services/HOOD/performance", None)
    system.firebase.put("services/HOOD/price", 12.5)
    system.firebase.put("services/GME", {"price": 7, "performance": right["AMD"]})
    done = audit(system, *AT_ONCE)
    assert done.returncode == 1
    assert "Firebase  SOFI  realized: ledger 0.0, there 0.01" in done.stdout
    assert 'Firebase  SOFI  note: ledger nothing, there "by hand"' in done.stdout
    assert "Firebase  HOOD  is missing" in done.stdout
    assert "Firebase  GME  is too much" in done.stdout
    assert "4 differences" in done.stdout
    fixed = json.loads(audit(system, *AT_ONCE, "--fix", "--json").stdout)
    assert fixed["equal"], fixed
    assert len(fixed["before"]) == 4
    nodes = {symbol: {"performance": record} for symbol, record in right.items()}
    nodes["HOOD"]["price"] = 12.5
    assert system.firebase.get() == nodes | {"GME": {"price": 7}}


def test_a_value_that_was_fixed_gives_way_to_the_next_one(system: System, bridge: Process) -> None:
    system.firebase.put("services/SOFI/performance/total", 5)
    assert audit(system, *PATIENT, "--fix").returncode == 0
    system.report("SOFI", 1)
    wait_until(
        lambda: system.firebase.get("services/SOFI/performance/total") == 29.77, "the next value"
    )


@contextmanager
def streaming(system: System) -> Iterator[list[int]]:
    """Bots report meanwhile without a pause; how many reports that were is in the list."""
    sent, done = [0], threading.Event()

    def trade() -> None:
        while not done.is_set():
            system.publish(envelope(report(f"S{sent[0] % 20}", 0.004)))
            sent[0] += 1

    trading = threading.Thread(target=trade)
    trading.start()
    try:
        yield sent
    finally:
        done.set()
        trading.join()


def test_reports_that_stream_in_are_no_difference_and_a_wrong_value_is(system: System) -> None:
    system.start_bridge()
    system.start_worker()
    late = (midnight(today()) - timedelta(seconds=1)).isoformat(timespec="microseconds")
    system.report("OLD", 5, timestamp=late)
    with streaming(system) as sent:
        wait_until(lambda: len(system.firebase.get() or {}) == 22, "all symbols in Firebase")
        before = sent[0]
        healthy = audit(system, *PATIENT)
        assert sent[0] > before
        assert healthy.returncode == 0, healthy.stdout
        # Yesterday's file and Firebase node are at rest; today's are not.
        system.firebase.put("services/OLD/performance/total", 6)
        yesterday = ("--day", str(midnight(today() - 1).date()))
        wrong = audit(system, *yesterday, *AT_ONCE)
        assert wrong.returncode == 1
        assert "Firebase  OLD  total: ledger 5.0, there 6" in wrong.stdout
        assert "1 difference\n" in wrong.stdout
        assert audit(system, *yesterday, *PATIENT, "--fix").returncode == 0
        assert system.firebase.get("services/OLD/performance/total") == 5


def test_a_worker_that_is_down_is_reported(system: System, bridge: Process) -> None:
    for process in system.processes:
        if process.log.name.startswith("worker"):
            process.signal(signal.SIGKILL)
            process.wait(PATIENCE)
    system.report("SOFI", 1)
    wait_until(lambda: system.total("SOFI") == 29.77, "the file")
    done = audit(system, *AT_ONCE)
    assert done.returncode == 1
    assert "Firebase  SOFI  total: ledger 29.77, there 28.77" in done.stdout
    assert "Firebase  aggregate  total" in done.stdout
    assert "daily file  " not in done.stdout


@pytest.mark.parametrize("kind", ["increment", "snapshot"])
def test_an_imported_opening_balance_audits_clean(system: System, kind: str) -> None:
    record = {"unrealized": 20.0, "realized": 0.0, "converted": 0.0}
    record["timestamp"] = midnight(today()).isoformat(timespec="microseconds")  # type: ignore[assignment]
    opening_balance = {"SOFI": {"total": 20.0} | record, "aggregate": {"total": 840.87} | record}
    path = path_of(system.base, today())
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(opening_balance))
    system.start_bridge(PROFIT_REPORT_KIND=kind)
    system.start_worker()
    system.report("SOFI", 1.01)
    system.report("HOOD", 2)
    account = {"increment": 843.88, "snapshot": 823.88}[kind]
    wait_until(lambda: system.total() == account, "both reports")
    done = audit(system, *PATIENT)
    assert done.returncode == 0, done.stdout


def test_a_day_before_the_ledger_is_reported_and_its_file_left_alone(system: System) -> None:
    system.start_bridge()
    path = path_of(system.base, today() - 30)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('{"SOFI": {"total": 1.0}}')
    day = str(midnight(today() - 30).date())
    for options in (AT_ONCE, (*AT_ONCE, "--fix")):
        done = audit(system, "--day", day, *options)
        assert done.returncode == 1
        assert "daily file  SOFI  is too much" in done.stdout
        assert "left alone" in done.stdout
        assert path.read_text() == '{"SOFI": {"total": 1.0}}'


def test_a_bridge_drops_old_reports_while_it_counts_and_says_so_of_their_day(
    system: System,
) -> None:
    old = today() - 20
    ledger = Ledger(system.base)
    ledger.open_day(old, "increment")
    reports = [ProfitReport(f"S{n}", "", old * DAY + n, ATOMS, 0, 0, 0) for n in range(1500)]
    ledger.record([(one, b"") for one in reports], [], "0-0", "")
    ledger.mark_published()
    ledger.sync_published()
    ledger.close()
    system.start_bridge(LEDGER_DAYS_KEPT="10")
    system.report("SOFI", 1)
    day = str(midnight(old).date())

    def errors() -> str:
        return audit(system, "--day", day, *AT_ONCE).stderr

    wait_until(lambda: "no longer kept (LEDGER_DAYS_KEPT)" in errors(), "a day of the past")
    wait_until(lambda: system.total("SOFI") == 1, "the report of now")


def test_symbols_that_are_not_stored_are_not_missed_in_firebase(system: System) -> None:
    system.start_bridge(TICKERS="SOFI")
    system.start_worker()
    system.report("HOOD", 2)
    system.report("SOFI", 1)
    wait_until(lambda: system.firebase.get("services/aggregate") is not None, "the account")
    wait_until(lambda: system.firebase.get("services/SOFI") is not None, "SOFI")
    done = audit(system, *PATIENT, TICKERS="SOFI")
    assert done.returncode == 0, done.stdout
    assert "ledger 3, daily file 3, Firebase 2" in done.stdout
    assert "not stored in Firebase, and not compared there" in done.stdout
    assert done.stdout.splitlines()[1].endswith(": HOOD")
    assert audit(system, *AT_ONCE).returncode == 1
    doctor = system.command("doctor", TICKERS="AMD", STORE_AGGREGATE="false").stdout
    assert "nothing to compare: HOOD, SOFI, aggregate are not stored" in doctor
    doctor = system.command("doctor", TICKERS="SOFI").stdout
    assert "2 symbols, the account included; not stored, and not compared: HOOD" in doctor


def test_what_cannot_be_reached_is_one_line_and_exit_code_1(
    system: System, bridge: Process
) -> None:
    away = f"127.0.0.1:{free_port()}"
    for environment, words in (
        ({"PROFIT_BASE_PATH": str(system.folder / "nowhere")}, "ledger"),
        ({"FIREBASE_DATABASE_EMULATOR_HOST": away}, "cannot read from Firebase"),
    ):
        done = audit(system, *AT_ONCE, **environment)
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert words in done.stderr
    system.firebase.put("services/SOFI/performance/total", 5)
    done = audit(system, *AT_ONCE, "--fix", REDIS_URL=f"redis://{away}/0")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "cannot use Redis" in done.stderr


def test_a_day_that_is_none_is_exit_code_2(system: System) -> None:
    done = audit(system, "--day", "yesterday")
    assert done.returncode == 2
    assert "--day" in done.stderr
