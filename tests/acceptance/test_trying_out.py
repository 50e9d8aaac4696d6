"""Reports by hand, a simulated day and a replayed one, through a whole system."""

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis

from app.channels import AGGREGATE
from app.dev.processes import free_port
from app.dev.redis_server import start_redis
from app.domain import date_of
from app.publisher import RedisPublisher
from tests.recorded import hour, made, record
from tests.system import JOURNAL, System, report, run, run_here, today, wait_until

FIELDS = ("total", "unrealized", "realized", "converted")
REAL = {
    "FIREBASE_DATABASE_URL": "https://desk-1.firebaseio.com",
    "FIREBASE_DATABASE_EMULATOR_HOST": "",
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One running system for all tests here; each has symbols of its own."""
    system = System(tmp_path_factory.mktemp("desk"))
    system.environment["PUBLISHER_SPOOL_PATH"] = str(system.folder / "spool")
    try:
        system.start_bridge()
        system.start_worker()
        yield system
    finally:
        system.close()


def journaled(system: System) -> int:
    return int(system.redis.xlen(JOURNAL))


def amounts(record: dict[str, Any] | None, decimals: int = 2) -> list[float] | None:
    return None if record is None else [round(record[name], decimals) for name in FIELDS]


def assert_in_daily_file(system: System, sums: dict[str, Any]) -> None:
    """The day's file shows these sums, rounded, for every symbol in them."""
    expected = {name: amounts(sum_) for name, sum_ in sums.items() if name != AGGREGATE}

    def shows() -> bool:
        file = system.daily_file()
        return {name: amounts(file.get(name)) for name in expected} == expected

    wait_until(shows, f"{expected} in the daily file")


def one_line(errors: str, *words: str) -> None:
    assert len(errors.splitlines()) == 1, errors
    for word in words:
        assert word in errors


# report


def test_a_report_by_hand_is_counted_and_seen_in_firebase(desk: System) -> None:
    words = ("report", "hand", "--unrealized", "-1.5", "--realized", "30.26", "--converted", "0.1")
    done = desk.command(*words, "--wait", "--json", "--sender", "me")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert amounts(printed["sent"]) == [28.86, -1.5, 30.26, 0.1]
    assert printed["sent"]["symbol"] == "HAND"
    assert (printed["listeners"], printed["spooled"]) == (1, False)
    assert printed["counted"]["figures"]["total"] == 28.86
    assert desk.firebase.get("services/HAND/performance") == printed["counted"]["figures"]
    again = desk.command("report", "HAND", "--total", "1", "--realized", "2", "--wait")
    assert again.returncode == 0
    lines = again.stdout.splitlines()
    assert lines[0].split()[:4] == ["sent", "HAND", "total", "1.00"]
    assert "counted" in again.stdout
    assert "total 29.86" in again.stdout
    assert "in Firebase after" in lines[-1]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("SOFI", "--realized", "much"), "realized is not a number: 'much'"),
        (("SOFI", "--realized", "nan"), "realized is not a number"),
        (("SOFI", "--realized", "2e9"), "realized is beyond"),
        (("SOFI",), "give at least one of --unrealized"),
        (("SO\nFI", "--realized", "1"), "does not print"),
        (("aggregate", "--realized", "1"), "reserved for the account"),
        (("SOFI", "--realized", "1", "--timestamp", "noon"), "not ISO 8601"),
        (("SOFI", "--realized", "1", "--timestamp", "2001-09-09T01:46:40Z"), "in the past"),
        (("SOFI", "--realized", "1", "--sender", "x" * 129), "sender is longer"),
        (("SOFI", "--realized", "1", "--wait", "0"), "must be above 0"),
        (
            ("SOFI", "--realized", "1", "--wait", "--timestamp", "2025-05-15T10:00"),
            "--wait recognizes",
        ),
    ],
)
def test_a_report_that_would_not_be_counted_is_not_sent(
    desk: System, words: tuple[str, ...], error: str
) -> None:
    before = journaled(desk)
    done = desk.command("report", *words)
    assert done.returncode == 2
    one_line(done.stderr, error)
    assert journaled(desk) == before


def test_a_report_without_redis_is_kept_and_sent_by_the_next(tmp_path: Path) -> None:
    port = free_port()
    environment = {
        "REDIS_URL": f"redis://127.0.0.1:{port}/0",
        "PUBLISHER_SPOOL_PATH": str(tmp_path / "spool"),
    }
    done = run("-m", "app", "report", "SOFI", "--realized", "1", **environment)
    assert done.returncode == 1
    one_line(done.stderr, f"it is kept in {tmp_path / 'spool'}", "do not report it again")
    refused = run_here(environment, "report", "SOFI", "--realized", "1", "--wait")
    assert refused.returncode == 1
    one_line(refused.stderr, "cannot use Redis", "start it, or correct REDIS_URL")
    server = start_redis(tmp_path, port)
    try:
        run_here(environment, "report", "SOFI", "--realized", "2")
        with redis.Redis.from_url(server.url) as client:
            wait_until(lambda: client.xlen(JOURNAL) == 2, "both reports in the journal")
    finally:
        server.end()


def test_a_missing_bridge_is_reported_and_so_is_a_firebase_that_does_not_show_the_report(
    system: System,
) -> None:
    done = system.command("report", "SOFI", "--realized", "1")
    assert done.returncode == 0
    assert "no bridge runs; the report is in the journal" in done.stdout
    done = system.command("report", "SOFI", "--realized", "1", "--wait", "0.5")
    assert done.returncode == 1
    assert "not counted within 0.5 s" in done.stderr
    system.start_bridge()
    done = system.command("report", "SOFI", "--realized", "1", "--wait", "3")
    assert done.returncode == 1
    assert "total 3.00" in done.stdout
    assert "not visible in Firebase within 3 s: are workers running?" in done.stderr


# simulate


def test_what_the_simulated_bots_add_up_to_is_what_the_daily_file_shows(desk: System) -> None:
    words = ("--bots", "6", "--rate", "60", "--seconds", "2", "--symbols", "sima", "SIM.B", "SIM/C")
    done = desk.command("simulate", *words, "--seed", "3", "--json")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert (printed["fills"], printed["bots"], printed["seed"]) == (120, 6, 3)
    (sums,) = printed["sums"].values()
    assert sums.keys() == {"SIMA", "SIM.B", "SIM/C", AGGREGATE}
    assert sum(sums[name]["reports"] for name in sums) == 240
    assert_in_daily_file(desk, sums)
    wait_until(
        lambda: (
            amounts(desk.firebase.get("services/SIM!2EB/performance")) == amounts(sums["SIM.B"])
        ),
        "the simulated figure in Firebase",
    )
    assert desk.firebase.get("services/SIM!2EB/price")
    assert desk.rejected() == []


def test_ctrl_c_ends_a_simulated_day_early_with_the_sums_so_far(desk: System) -> None:
    words = ("--rate", "50", "--seconds", "600", "--symbols", "EARLY", "--json")
    trading = desk.start("simulate", "-m", "app", "simulate", *words)
    wait_until(lambda: "EARLY" in desk.daily_file(), "trades")
    trading.signal(signal.SIGINT)
    assert trading.wait(10) == 0, trading.log.read_text()
    printed = json.loads(trading.log.read_text())
    assert 0 < printed["fills"] < 30_000
    (sums,) = printed["sums"].values()
    assert_in_daily_file(desk, sums)


@pytest.mark.parametrize(
    ("words", "environment", "code", "error"),
    [
        ((), {"REDIS_URL": "redis://:hush@10.1.2.3:6379/0"}, 2, "is not on this machine"),
        ((), {"REDIS_URL": "redis://desk.example:6379/0"}, 2, "--not-a-real-account"),
        ((), REAL, 2, "is a real database"),
        ((), {"PROFIT_REPORT_KIND": "snapshot"}, 2, "PROFIT_REPORT_KIND"),
        (("--rate", "0"), {}, 2, "must be above 0"),
        (("--rate", "1e9"), {}, 2, "are too many"),
        (("--symbols", "aggregate"), {}, 2, "reserved"),
        ((), {"REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}, 1, "cannot use Redis"),
    ],
)
def test_simulated_money_is_kept_out_of_what_may_be_real(
    desk: System, words: tuple[str, ...], environment: dict[str, str], code: int, error: str
) -> None:
    before = journaled(desk)
    done = desk.command("simulate", *words, **environment)
    assert done.returncode == code
    one_line(done.stderr, error)
    assert "hush" not in done.stderr
    assert journaled(desk) == before


def test_a_person_can_confirm_that_it_is_no_real_account(desk: System) -> None:
    words = ("--rate", "10", "--seconds", "0.1", "--symbols", "WORD", "--not-a-real-account")
    assert desk.command("simulate", *words, **REAL).returncode == 0
    assert_in_daily_file(desk, {})


# replay

DAY = today() - 1
DATE = str(date_of(DAY))


@pytest.fixture
def recorded(tmp_path: Path) -> dict[str, str]:
    """The settings of a deployment with a recorded day, in which no bot shares a time."""
    reports = [
        made(
            symbol, hour(DAY, 13.5) + 1_000_000 * second, second * 123_456_789 - 500_000_001, sender
        )
        for second in range(40)
        for symbol, sender in (("REPA", "x"), ("REPA", "y"), ("REP.B", "x"))
    ]
    record(tmp_path / "real", DAY, reports)
    return {
        "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
        "PROFIT_BASE_PATH": str(tmp_path / "real"),
        "PUBLISHER_SPOOL_PATH": str(tmp_path / "spool"),
    }


def test_a_replayed_day_makes_the_same_sums_elsewhere(
    desk: System, recorded: dict[str, str]
) -> None:
    words = ("replay", "--day", DATE, "--speed", "100", "--to", desk.redis_server.url)
    with desk.listening() as listener:
        done = run_here(recorded, *words, "--json")
        heard = listener.wait_for(240)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert (printed["sent"], printed["equal"]) == (120, True)
    assert_in_daily_file(desk, printed["sums"])
    times = [body["data"]["timestamp"] for channel, body in heard if "REP" in channel]
    assert times == sorted(times)
    assert len(set(times)) == 120
    assert desk.rejected() == []


def test_a_dry_run_prints_what_would_be_sent_and_sends_nothing(
    desk: System, recorded: dict[str, str]
) -> None:
    before = journaled(desk)
    done = run_here(recorded, "replay", "--day", DATE, "--speed", "1000", "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    *reports, result = map(json.loads, done.stdout.splitlines())
    assert len(reports) == 120
    assert {report["sender"] for report in reports} == {"x", "y"}
    assert (result["sent"], result["equal"]) == (0, True)
    done = run_here(recorded, "replay", "--day", DATE, "--speed", "1000", "--dry-run")
    assert "120 of 120 reports" in done.stdout
    assert f"equal to the reports of {DATE}" in done.stdout
    assert journaled(desk) == before


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        ((), 2, "--to is missing"),
        (("--to", "redis://10.1.2.3:6379/0"), 2, "is not on this machine"),
        (("--to", "nonsense"), 2, "must look like redis://"),
        (("--to", f"redis://127.0.0.1:{free_port()}/0"), 1, "start it, or correct --to"),
        (("--dry-run", "--speed", "0"), 2, "must be above 0"),
        (("--dry-run", "--speed", "0.0001"), 2, "past midnight"),
        (
            ("--dry-run", "--day", "2001-09-09"),
            1,
            f"no reports of 2001-09-09; the nearest it has: {DATE}",
        ),
    ],
)
def test_a_replay_that_cannot_be_is_one_line(
    recorded: dict[str, str], words: tuple[str, ...], code: int, error: str
) -> None:
    done = run_here(recorded, "replay", "--day", DATE, *words)
    assert (done.returncode, done.stdout) == (code, "")
    one_line(done.stderr, error)


@pytest.mark.parametrize("emulator", ["", "127.0.0.1:9000"])
@pytest.mark.parametrize("database", [0, 7])
def test_a_day_is_not_replayed_into_the_deployment_that_it_is_of(
    desk: System, recorded: dict[str, str], emulator: str, database: int
) -> None:
    before = journaled(desk)
    ours = {
        "REDIS_URL": desk.redis_server.url.replace("127.0.0.1", "localhost"),
        "FIREBASE_DATABASE_EMULATOR_HOST": emulator,
    }
    target = f"{desk.redis_server.url[:-1]}{database}"
    words = ("replay", "--day", DATE, "--to", target, "--speed", "1000")
    done = run_here(recorded | ours, *words)
    assert done.returncode == 2
    one_line(done.stderr, "is REDIS_URL", "a second time")
    assert journaled(desk) == before


@pytest.mark.parametrize("database", [0, 7])
def test_a_ledger_knows_its_deployment_whatever_redis_url_says(desk: System, database: int) -> None:
    with closing(RedisPublisher(desk.redis_server.url, spool=desk.folder / "spool")) as publisher:
        publisher.publish("PROFIT_REPORT", report("REPL", 1), "bot")
    wait_until(lambda: "REPL" in desk.daily_file(), "the report")
    before = journaled(desk)
    target = f"{desk.redis_server.url[:-1]}{database}"
    words = ("replay", "--day", str(date_of(today())), "--to", target, "--speed", "100000")
    done = desk.command(*words, REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    assert done.returncode == 2, done.stderr
    one_line(done.stderr, "has the journal that this ledger was recorded from", "a second time")
    assert journaled(desk) == before


def test_a_replay_that_cannot_tell_whose_redis_it_is_sends_nothing(
    desk: System, recorded: dict[str, str]
) -> None:
    before = journaled(desk)
    wrong = {"REDIS_URL": desk.redis_server.url.replace("redis://", "redis://nobody:wrong@")}
    words = ("replay", "--day", DATE, "--to", desk.redis_server.url, "--speed", "1000")
    done = run_here(recorded | wrong, *words)
    assert done.returncode == 2
    one_line(done.stderr, "cannot tell whether --to is the deployment", "correct the password in")
    assert journaled(desk) == before


def test_what_a_replay_leaves_unsent_is_sent_by_nobody(
    recorded: dict[str, str], tmp_path: Path
) -> None:
    server = start_redis(tmp_path)
    words = ("replay", "--day", DATE, "--speed", "20", "--to", server.url)

    def end_when_it_sends() -> None:
        with closing(redis.Redis.from_url(server.url)) as client:
            wait_until(lambda: bool(client.exists(JOURNAL)), "a report")
        server.end(within=0)

    ending = threading.Thread(target=end_when_it_sends)
    ending.start()
    done = run_here(recorded, *words)
    ending.join()
    assert done.returncode == 1
    one_line(done.stderr, f"not all of {DATE} was sent: ", "did not take the last of them")
    assert not (tmp_path / "spool").exists()
