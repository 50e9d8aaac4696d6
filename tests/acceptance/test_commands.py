"""What a person sees who gets a setting wrong."""

import os
import sys
from pathlib import Path

import pytest

from app.dev.processes import free_port
from tests.system import System, run

CELERY = (str(Path(sys.executable).with_name("celery")), "-A", "tasks")


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
def test_celery_commands_refuse_a_wrong_setting_in_the_same_way(command: str) -> None:
    done = run(*CELERY, command, PROFIT_DECIMALS="two")
    assert done.returncode == 2
    assert_one_line(done.stderr, "PROFIT_DECIMALS=two", "whole number from 0 to 6")


REAL = {"FIREBASE_DATABASE_URL": "https://desk-1.firebaseio.com"}


def test_a_missing_credential_file_is_one_line_from_bridge_and_worker() -> None:
    given = REAL | {"GOOGLE_APPLICATION_CREDENTIALS": "/nowhere/key.json"}
    for command in (("-m", "app", "bridge"), (*CELERY, "worker")):
        done = run(*command, **given)
        assert done.returncode == 2
        assert_one_line(done.stderr, "GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json")


def test_a_worker_without_any_database_says_what_to_set() -> None:
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
    assert done.returncode == 1
    assert_one_line(done.stderr, "PROFIT_BASE_PATH=/dev/null cannot be written")


def test_the_configuration_is_shown_without_its_secrets() -> None:
    done = run("-m", "app", "show-config", REDIS_URL="redis://:hush@localhost:6379/0")
    assert done.returncode == 0
    assert "REDIS_URL=redis://:***@localhost:6379/0" in done.stdout
    assert "hush" not in done.stdout


def test_help_lists_every_command() -> None:
    done = run("-m", "app", "--help")
    for command in ("bridge", "subscriber", "dev", "rejected", "failed-stores", "show-config"):
        assert command in done.stdout
