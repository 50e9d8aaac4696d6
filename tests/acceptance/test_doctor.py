"""`python -m app doctor` finds each fault, names it and its fix, and nothing that is well."""

import json
import os
import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from app.accounting import FILE_NAME, path_of
from app.dev.processes import free_port
from app.dev.redis_server import RedisServer, start_redis
from app.messaging import connect
from app.operations.doctor import (
    FAIL,
    OK,
    SKIPPED,
    TASKS,
    WARN,
    Check,
    Deployment,
    Finding,
    checks_of,
    clock,
    examine,
)
from app.publisher import RedisPublisher
from app.settings import load_settings
from tasks import app as celery
from tests.system import System, envelope, report, run, today, wait_until

OF_REDIS = {
    *("redis eviction", "redis memory", "redis persistence", "clock"),
    *("bridge", "publishers", "journal", "broker", "queue", "worker"),
    *("rejected updates", "failed stores"),
}
FIGURES = {"figures in Firebase": SKIPPED}

Expected = Mapping[str, str]
"""Status by name, of what is not ok."""


def examined(settings: Mapping[str, str]) -> dict[str, Finding]:
    deployment = Deployment(load_settings(settings))
    try:
        return dict(examine(checks_of(deployment.settings), deployment))
    finally:
        deployment.close()


def not_ok(findings: Mapping[str, Finding]) -> dict[str, str]:
    return {name: found.status for name, found in findings.items() if found.status != OK}


@pytest.fixture
def running(system: System) -> System:
    """A healthy system that has stored something."""
    system.start_bridge()
    system.start_worker()
    publisher = RedisPublisher(system.redis_server.url, spool=system.folder / "spool")
    with closing(publisher):
        publisher.publish("PROFIT_REPORT", report("SOFI", 1), "bot")

    def is_stored() -> bool:
        return bool(system.firebase.get("services/aggregate/performance/total") == 1)

    wait_until(is_stored, "the account in Firebase")
    return system


def copy_of(system: System, name: str) -> Path:
    """Ledger and daily file as they are, where no bridge fixes them."""
    folder = system.folder / name
    daily = path_of(folder, today())
    daily.parent.mkdir(parents=True)
    shutil.copy(path_of(system.base, today()), daily)
    with (
        closing(sqlite3.connect(system.base / FILE_NAME)) as source,
        closing(sqlite3.connect(folder / FILE_NAME)) as copy,
    ):
        source.backup(copy)
    return folder


@contextmanager
def badly_configured_redis(folder: Path) -> Iterator[RedisServer]:
    """One that drops what it has, nobody listens on, and nobody takes tasks from."""
    folder.mkdir()
    options = ("--maxmemory-policy", "allkeys-lru", "--appendonly", "no")
    server = start_redis(folder, options=options)
    try:
        with connect(server.url) as client:
            client.setrange("fills it up", 20 * 1024 * 1024, b"!")
            client.config_set("maxmemory", int(client.info("memory")["used_memory"] / 0.85))
        yield server
    finally:
        server.end()


def faults_of(
    system: System, other: RedisServer
) -> dict[str, tuple[dict[str, str], Expected, str]]:
    """Settings that lead to each fault, what is not ok then, and a word of the fix."""
    base = system.environment
    torn, false, corrupt = (copy_of(system, name) for name in ("torn", "false", "corrupt"))
    daily = path_of(torn, today())
    daily.write_bytes(daily.read_bytes()[:-20])
    daily = path_of(false, today())
    daily.write_text(daily.read_text().replace("1.0", "2.0"))
    with (corrupt / FILE_NAME).open("r+b") as ledger:
        ledger.seek(4096)
        ledger.write(os.urandom(4096))
    key = system.folder / "key.json"
    key.write_text("{}")
    real = {
        "FIREBASE_DATABASE_EMULATOR_HOST": "",
        "FIREBASE_DATABASE_URL": f"https://127.0.0.1:{free_port()}",
    }
    port = system.redis_server.port
    nobody = f"redis://127.0.0.1:{free_port()}/0"
    away = {"redis": FAIL} | dict.fromkeys(OF_REDIS, SKIPPED) | FIGURES
    no_ledger = (
        dict.fromkeys(("ledger", "daily file", "rejected", "repetitions"), SKIPPED) | FIGURES
    )
    return {
        "redis": (base | {"REDIS_URL": nobody}, away, "start it, or correct REDIS_URL"),
        "password": (
            base | {"REDIS_URL": f"redis://doctor:wrong@127.0.0.1:{port}/0"},
            away,
            "correct the password in REDIS_URL",
        ),
        "eviction": (
            base | {"CELERY_BROKER_URL": other.url},
            {"broker eviction": FAIL, "worker": FAIL} | FIGURES,
            "maxmemory-policy noeviction",
        ),
        "broker": (
            base | {"CELERY_BROKER_URL": nobody},
            {"broker": FAIL}
            | dict.fromkeys(("broker eviction", "queue", "worker"), SKIPPED)
            | FIGURES,
            "correct CELERY_BROKER_URL",
        ),
        "worker": (
            base | {"CELERY_BROKER_URL": f"redis://127.0.0.1:{port}/5"},
            {"worker": FAIL} | FIGURES,
            "start one: celery -A tasks worker",
        ),
        "worker on another queue": (
            base | {"CELERY_BROKER_URL": f"redis://127.0.0.1:{port}/6"},
            {"worker": FAIL} | FIGURES,
            "without --queues",
        ),
        "bridge, and a Redis that is not as it should be": (
            base | {"REDIS_URL": other.url, "CELERY_BROKER_URL": system.redis_server.url},
            {"redis eviction": FAIL, "redis memory": WARN, "redis persistence": WARN}
            | {"bridge": FAIL, "publishers": SKIPPED}
            | FIGURES,
            "set appendonly yes",
        ),
        "firebase": (
            base | {"FIREBASE_DATABASE_EMULATOR_HOST": f"127.0.0.1:{free_port()}"},
            {"firebase": FAIL, "front end": SKIPPED} | FIGURES,
            "correct FIREBASE_DATABASE_EMULATOR_HOST",
        ),
        "firebase key": (
            base | real | {"GOOGLE_APPLICATION_CREDENTIALS": str(key)},
            {"firebase": FAIL, "front end": SKIPPED} | FIGURES,
            "correct GOOGLE_APPLICATION_CREDENTIALS",
        ),
        "daily file torn": (
            base | {"PROFIT_BASE_PATH": str(torn)},
            {"daily file": FAIL},
            "python -m app audit --fix",
        ),
        "daily file": (
            base | {"PROFIT_BASE_PATH": str(false)},
            {"daily file": FAIL},
            "python -m app audit --fix",
        ),
        "ledger": (
            base | {"PROFIT_BASE_PATH": str(corrupt)},
            no_ledger | {"ledger": FAIL},
            "it starts over from the daily files",
        ),
        "folder": (
            base | {"PROFIT_BASE_PATH": "/dev/null/profits"},
            {"folder": FAIL} | no_ledger,
            "correct PROFIT_BASE_PATH",
        ),
    }


def test_each_fault_is_found_and_named_with_its_fix_and_nothing_else(
    running: System, subtests: pytest.Subtests
) -> None:
    url = f"redis://127.0.0.1:{running.redis_server.port}/6"
    running.redis.execute_command("ACL", "SETUSER", "doctor", "on", ">right", "+@all", "~*", "&*")
    with badly_configured_redis(running.folder / "other") as other:
        faults = faults_of(running, other)
        queue = ("--queues", "others", "--concurrency", "1", "--loglevel", "INFO")
        misled = running.start(
            "misled", *("-m", "celery", "-A", "tasks", "worker"), *queue, CELERY_BROKER_URL=url
        )
        wait_until(lambda: " ready." in misled.log.read_text(), "the worker of another queue")
        with ThreadPoolExecutor(len(faults)) as threads:
            found = threads.map(lambda fault: examined(fault[0]), faults.values())
            for (name, (_, expected, fix)), findings in zip(faults.items(), found, strict=True):
                with subtests.test(name):
                    assert not_ok(findings) == expected, findings
                    assert any(fix in finding.fix for finding in findings.values()), findings
                    lines = (text for finding in findings.values() for text in finding)
                    assert not any("\n" in line for line in lines)


def test_a_healthy_system_is_reported_healthy_and_a_denial_as_a_denial(running: System) -> None:
    done = doctor(running)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "\nall is well\n" in done.stdout
    assert "\x1b" not in done.stdout, "colours belong on a terminal"
    assert running.firebase.get("profit-bridge") is None, "the health check leaves nothing behind"
    assert [path for path, _ in running.firebase.writes() if "doctor" in path]

    assert "anybody can read services: a front end needs no sign-in" in done.stdout
    running.firebase.faults({"status": 401, "path": "/profit-bridge"})
    running.publish("no report")
    running.publish('{"data": {"type": "price", "price": null}}', "TICKER_UPDATES_SOFI")
    running.report("SOFI", 1)
    wait_until(lambda: len(running.rejected()) > 0, "the rejected message")
    done = doctor(running, "--json")
    assert done.returncode == 1
    findings = {one["name"]: one for one in json.loads(done.stdout)}
    assert {name: one["status"] for name, one in findings.items() if one["status"] != OK} == {
        "rejected": WARN,
        "rejected updates": WARN,
        "firebase": FAIL,
        "figures in Firebase": SKIPPED,
    }
    assert "Permission denied" in findings["firebase"]["found"]
    assert "a rule that allows writing to profit-bridge" in findings["firebase"]["fix"]
    assert findings["rejected"]["found"] == "1 reports were not counted"
    assert findings["rejected"]["fix"] == "see python -m app rejected"
    assert "1 prices and orders" in findings["rejected updates"]["found"]
    assert "data.price must be a number or text, not null" in findings["rejected updates"]["found"]
    assert findings["rejected updates"]["fix"] == "see python -m app rejected-updates"


def test_skipped_checks_are_named_when_all_is_well(running: System, tmp_path: Path) -> None:
    done = running.command("doctor", PROFIT_BASE_PATH=str(tmp_path))
    assert done.returncode == 0, done.stdout
    skipped = done.stdout.count("skipped ")
    assert skipped > 0
    assert done.stdout.endswith(f"\nall is well, but {skipped} of 22 were skipped\n")


@pytest.mark.parametrize(
    ("fault", "fix"),
    [
        (("CONFIG", "SET", "maxmemory", "1"), "raise its maxmemory: it is full"),
        (("REPLICAOF", "127.0.0.1", "1"), "name the primary in REDIS_URL: this is a replica"),
    ],
)
def test_a_redis_that_runs_and_takes_no_writes_is_not_started_again(
    fault: tuple[str, ...], fix: str, system: System
) -> None:
    system.redis.execute_command(*fault)
    findings = {one["name"]: one for one in json.loads(system.command("doctor", "--json").stdout)}
    assert findings["worker"]["status"] == FAIL
    assert findings["worker"]["fix"] == fix


def doctor(system: System, *options: str) -> subprocess.CompletedProcess[str]:
    return system.run("-m", "app", "doctor", *options)


def test_another_program_that_publishes_figures_is_named(system: System) -> None:
    system.start_bridge()
    figures = {"data": {"symbol": "SOFI", "total": 1}, "sender": "profit_calculator"}
    is_over = threading.Event()

    def publish() -> None:
        while not is_over.wait(0.05):
            system.redis.publish("TICKER_PERFORMANCE_SOFI", json.dumps(figures))
            system.redis.publish("TICKER_PERFORMANCE_AGGREGATE", "{")
            system.report("SOFI", 1)

    former = threading.Thread(target=publish)
    former.start()
    try:
        found = examined(system.environment)["publishers"]
    finally:
        is_over.set()
        former.join()
    assert found.status == FAIL
    names = "a program that names no sender, profit_calculator"
    assert found.found == f"figures on TICKER_PERFORMANCE_* come from {names} too"
    heard = "nobody published within a moment on TICKER_PERFORMANCE_*"
    assert examined(system.environment)["publishers"] == Finding(OK, heard)


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_wrong_setting_is_found_first_and_is_exit_code_2(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    missing = {
        "FIREBASE_DATABASE_URL": "https://desk-1.firebaseio.com",
        "GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "none.json"),
    }
    done = run("-m", "app", "doctor", *options, **missing)
    assert done.returncode == 2
    assert "GOOGLE_APPLICATION_CREDENTIALS: there is no readable file" in done.stdout


def test_a_full_disk_fails_before_the_bridge_notices(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("mounts a small file system: needs root")
    try:
        found = examined({"PROFIT_BASE_PATH": str(disk)})["folder"]
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
    assert (found.status, "free some of that disk" in found.fix) == (FAIL, True)


@pytest.mark.parametrize(
    ("ahead", "status"), [(0, OK), (30, WARN), (-30, WARN), (400, FAIL), (-400, FAIL)]
)
def test_clocks_that_differ_are_noticed(redis_url: str, ahead: int, status: str) -> None:
    settings = load_settings({"REDIS_URL": redis_url})
    found = clock(Deployment(settings, now=lambda: time.time() + ahead))
    assert found.status == status
    assert ahead == 0 or "NTP" in found.fix


def test_reports_that_nobody_counts_are_noticed_while_they_wait(system: System) -> None:
    bridge = system.start_bridge()
    system.report("SOFI", 1)
    wait_until(lambda: bool(system.daily_file()), "the first report counted")
    bridge.end()
    old = time.time_ns() // 1_000_000 - 60_000
    system.redis.xadd("profit-bridge:journal", {"message": envelope(report())}, id=f"{old}-0")
    found = examined(system.environment)["journal"]
    assert found.status == WARN
    assert "1 are not in the ledger, the oldest for 60 s" in found.found


def test_a_check_that_hangs_or_breaks_leaves_the_others_alone() -> None:
    def breaks(_: Deployment) -> Finding:
        raise LookupError("two\nlines")

    def hangs(_: Deployment) -> Finding:
        time.sleep(60)
        raise AssertionError

    checks = [
        Check("hangs", hangs, "wake it", timeout=0.01),
        Check("breaks", breaks, "repair it"),
        Check("needy", breaks, needs=("breaks",)),
        Check("well", lambda _: Finding(OK, "yes")),
    ]
    assert dict(examine(checks, Deployment(load_settings({})))) == {
        "hangs": Finding(FAIL, "no answer within 0 s", "wake it"),
        "breaks": Finding(FAIL, "LookupError: two lines", "repair it"),
        "needy": Finding(SKIPPED, "needs: breaks"),
        "well": Finding(OK, "yes"),
    }


def test_the_tasks_that_a_worker_must_know_are_all_there_are() -> None:
    assert {name for name in celery.tasks if name.startswith("tasks.")} == TASKS
