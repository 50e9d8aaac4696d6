"""What a person sees who gets a setting wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.accounting import FILE_NAME, Ledger
from app.dev.processes import free_port
from app.domain import ProfitReport, day_of, to_text
from app.timing import now_us
from tests.system import PATIENCE, ROOT, System, run, run_here, wait_until

CELERY_WORDS = ("celery", "-A", "tasks")
CELERY = (str(Path(sys.executable).with_name("celery")), *CELERY_WORDS[1:])


def assert_one_line(text: str, *words: str) -> None:
    lines = text.strip().splitlines()
    assert len(lines) == 1, text
    for word in words:
        assert word in lines[0]


@pytest.mark.parametrize("command", ["bridge", "subscriber", "show-config"])
def test_a_wrong_setting_is_one_line_and_exit_code_2(command: str) -> None:
    done = run("-m", "app", command, PROFIT_REPORT_KIND="daily")
    assert done.returncode == 2
    assert_one_line(done.stderr, "PROFIT_REPORT_KIND=daily", "increment or snapshot")


@pytest.mark.parametrize("command", ["worker", "flower"])
@pytest.mark.parametrize("celery", [CELERY, ("-m", *CELERY_WORDS)], ids=["celery", "-m celery"])
def test_celery_commands_refuse_a_wrong_setting_in_the_same_way(
    celery: tuple[str, ...], command: str
) -> None:
    done = run(*celery, command, PROFIT_DECIMALS="two")
    assert done.returncode == 2
    assert_one_line(done.stderr, "PROFIT_DECIMALS=two", "whole number from 0 to 8")


REAL = {"FIREBASE_DATABASE_URL": "https://desk-1.firebaseio.com"}


def test_a_missing_credential_file_is_one_line_from_bridge_and_worker() -> None:
    given = REAL | {"GOOGLE_APPLICATION_CREDENTIALS": "/nowhere/key.json"}
    for command in (("-m", "app", "bridge"), (*CELERY, "worker")):
        done = run(*command, **given)
        assert done.returncode == 2
        assert_one_line(done.stderr, "GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json")


def test_a_worker_without_a_database_says_what_to_set() -> None:
    done = run(*CELERY, "worker")
    assert done.returncode == 2
    assert_one_line(done.stderr, "FIREBASE_DATABASE_URL is not set")


def test_a_credential_file_that_is_none_is_one_line(tmp_path: Path) -> None:
    key = tmp_path / "key.json"
    key.write_text("{}")
    done = run(*CELERY, "worker", **REAL, GOOGLE_APPLICATION_CREDENTIALS=str(key))
    assert done.returncode == 2
    assert_one_line(done.stderr, "GOOGLE_APPLICATION_CREDENTIALS", str(key))


@pytest.mark.parametrize("command", ["bridge", "subscriber"])
def test_an_unreachable_redis_at_start_is_one_line(command: str, tmp_path: Path) -> None:
    url = f"redis://:hush@127.0.0.1:{free_port()}/0"
    done = run("-m", "app", command, REDIS_URL=url, PROFIT_BASE_PATH=str(tmp_path))
    assert done.returncode == 1
    assert_one_line(done.stderr, "cannot reach Redis", "REDIS_URL")
    assert "hush" not in done.stderr


def test_a_wrong_password_is_one_line_at_once(system: System) -> None:
    system.redis.config_set("requirepass", "right")
    done = system.run("-m", "app", "bridge")
    assert done.returncode == 1
    assert_one_line(done.stderr, "cannot reach Redis", "uthentication")


def test_a_folder_that_cannot_be_written_is_one_line() -> None:
    done = run("-m", "app", "bridge", PROFIT_BASE_PATH=os.devnull)
    assert done.returncode == 2
    assert_one_line(
        done.stderr, "PROFIT_BASE_PATH=/dev/null cannot be written", "correct the setting"
    )


def test_another_kind_of_report_on_the_same_day_is_refused_before_anything_is_connected(
    tmp_path: Path,
) -> None:
    ledger = Ledger(tmp_path)
    at = now_us()
    ledger.open_day(day_of(at), "increment")
    report = ProfitReport("SOFI", "scale_t", at, 1, 1, 0, 0)
    ledger.record([(report, b"{}")], [], "0-0", to_text(at))
    ledger.close()
    url = f"redis://127.0.0.1:{free_port()}/0"
    setting = {"REDIS_URL": url, "PROFIT_BASE_PATH": str(tmp_path)}
    done = run("-m", "app", "bridge", **setting, PROFIT_REPORT_KIND="snapshot")
    assert done.returncode == 2
    assert_one_line(done.stderr, "PROFIT_REPORT_KIND=snapshot", "after midnight UTC")


def test_a_damaged_ledger_ends_the_bridge_with_one_line_that_says_where_to_look(
    system: System,
) -> None:
    bridge = system.start_bridge()
    system.report("SOFI", 1)
    wait_until(lambda: "SOFI" in system.daily_file(), "the report in the daily file")
    bridge.end()
    ledger = system.base / FILE_NAME
    whole = ledger.read_bytes()
    ledger.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    done = system.run("-m", "app", "bridge")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    line = done.stderr.splitlines()[-1]
    assert_one_line(line, str(system.base), "cannot be", "python -m app doctor")


@pytest.mark.parametrize("words", [("explain", "SOFI"), ("audit",), ("rejected",)])
def test_a_command_that_finds_no_ledger_says_where_one_is(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    done = run_here({"PROFIT_BASE_PATH": str(tmp_path)}, *words)
    assert done.returncode == 1
    assert_one_line(done.stderr, f"there is no ledger {tmp_path}", "correct PROFIT_BASE_PATH")


def test_the_configuration_is_shown_without_its_secrets() -> None:
    done = run("-m", "app", "show-config", REDIS_URL="redis://:hush@localhost:6379/0")
    assert done.returncode == 0
    assert "REDIS_URL=redis://:***@localhost:6379/0" in done.stdout
    assert "hush" not in done.stdout


def test_no_command_at_all_is_wrong_use_and_shows_them() -> None:
    done = run("-m", "app")
    assert (done.returncode, done.stdout) == (2, "")
    assert "show-config" in done.stderr


def test_rules_that_cannot_be_used_are_one_line_and_start_nothing() -> None:
    refused = run("-m", "app", "dev", "--rules", "/nowhere/rules.json")
    assert refused.returncode == 2
    assert refused.stderr.startswith("profit bridge: --rules: /nowhere/rules.json cannot be read")
    assert refused.stderr.count("\n") == 1
    assert refused.stdout == ""


@pytest.mark.parametrize(("words", "expected"), [("fail", "failed-stores"), ("audit --", "--fix")])
def test_a_shell_completes_commands_and_options(words: str, expected: str) -> None:
    script = "import sys; from app.__main__ import main; sys.argv = ['profit-bridge']; main()"
    asked = {"COMP_WORDS": f"profit-bridge {words}", "COMP_CWORD": str(len(words.split()))}
    done = run("-c", script, _PROFIT_BRIDGE_COMPLETE="bash_complete", **asked)
    assert expected in done.stdout


@pytest.mark.parametrize("words", [("show-config",), ("--help",), ("explain", "--help")])
def test_a_reader_that_closes_the_pipe_causes_no_traceback(words: tuple[str, ...]) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write) as closed:
        done = subprocess.run(
            [sys.executable, "-m", "app", *words],
            stdout=closed,
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
            check=False,
            cwd=ROOT,
        )
    assert (done.returncode, done.stderr) == (1, b"")


def test_the_configuration_as_json_has_the_same() -> None:
    done = run("-m", "app", "show-config", "--json", REDIS_URL="redis://:hush@localhost:6379/0")
    assert json.loads(done.stdout)["REDIS_URL"] == "redis://:***@localhost:6379/0"
