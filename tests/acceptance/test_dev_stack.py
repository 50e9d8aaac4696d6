"""`python -m app dev` as a person runs it: a whole system with nothing but this checkout."""

import json
import os
import re
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from app.dev.processes import Process, last
from app.dev.stack import sealed_environment
from app.settings import Settings, load_settings
from tests.system import PATIENCE, ROOT, wait_until

START_WITHIN = 60

REAL = {
    "FIREBASE_DATABASE_URL": "https://real.firebaseio.com",
    "FIREBASE_ROOT": "real",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
    "CELERY_BROKER_READ_URL": "redis://127.0.0.1:1/0",
    "TICKERS": "REAL",
}
"""What a deployment has set, and nothing here may use."""


def processes_of(folder: Path) -> dict[int, str]:
    """Every process that has `folder` in its environment: all that the stack started."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder).encode() in (process / "environ").read_bytes():
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found[int(process.name)] = command
        except OSError:
            continue
    return found


class Dev:
    """The running command, with its temporary folder below one of our own."""

    def __init__(self, folder: Path, *options: str, **environment: str) -> None:
        self.folder = folder / "tmp"
        self.folder.mkdir()
        self.process = Process(
            "dev",
            [sys.executable, "-m", "app", "dev", *options],
            folder / "dev.log",
            {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(self.folder), **environment},
        )

    @property
    def output(self) -> str:
        return self.process.log.read_text()

    def until(self, pattern: str) -> str:
        """The first group of `pattern`, once it is printed."""
        self.wait(lambda: re.search(pattern, self.output), pattern)
        found = re.search(pattern, self.output)
        assert found
        return found.group(1)

    def wait(self, holds: Any, what: str) -> None:
        def holds_or_died() -> bool:
            assert self.process.exit_code is None, self.output
            return bool(holds())

        wait_until(holds_or_died, what, START_WITHIN)

    def totals(self) -> dict[str, set[str]]:
        """Every total that was shown, by ticker."""
        totals = defaultdict(set)
        for ticker, total in re.findall(r"^(\S+) +total (\S+)", self.output, re.MULTILINE):
            totals[ticker].add(total)
        return totals

    def close(self) -> None:
        self.process.end()
        for pid in processes_of(self.folder):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Dev]:
    yield from started(tmp_path)


@pytest.fixture
def dev_for_a_program(tmp_path: Path) -> Iterator[Dev]:
    yield from started(tmp_path, "--json")


@pytest.fixture
def dev_with_rules(tmp_path: Path) -> Iterator[Dev]:
    yield from started(tmp_path, "--rules", "database.rules.json")


def started(folder: Path, *options: str) -> Iterator[Dev]:
    if not Path("/proc/self/environ").exists():
        pytest.skip("looks in /proc for what is left over")
    dev = Dev(folder, *options, **REAL, PROFIT_BASE_PATH=str(folder / "real"))
    try:
        yield dev
    finally:
        dev.close()


def succeeded_tasks(flower: str) -> list[dict[str, Any]]:
    """What Flower's page of tasks shows of those that are done; it asks for its rows like this."""
    query = {
        "draw": "1",
        "start": "0",
        "length": "1000",
        "search[value]": "state:SUCCESS",
        "order[0][column]": "0",
        "columns[0][data]": "name",
    }
    answer = requests.get(f"{flower}/tasks/datatable", params=query, timeout=10)
    answer.raise_for_status()
    rows: list[dict[str, Any]] = answer.json()["data"]
    return rows


def moved(dev: Dev) -> bool:
    totals = dev.totals()
    moving = {ticker for ticker, shown in totals.items() if len(shown) > 1}
    return "aggregate" in moving and len(moving) > 5


def test_one_command_runs_the_whole_system_and_ctrl_c_leaves_nothing_behind(
    dev: Dev, tmp_path: Path
) -> None:
    command = dev.until(r"report a fill of your own:\n(.+)\n")
    subprocess.run(command, shell=True, cwd=tmp_path, check=True, timeout=START_WITHIN)
    dev.wait(lambda: moved(dev), "movement of the account and five tickers")
    assert dev.until(r"MINE +total (\S+)") == "12.50"
    page = dev.until(r" ready\nlive page +(\S+)")
    assert "<h1>" in requests.get(page, headers={"Accept": "text/html"}, timeout=10).text
    flower = dev.until(r"Flower +(\S+)")
    database = dev.until(r"Firebase +(\S+)")
    assert dev.until(r'connectDatabaseEmulator\(db, "127.0.0.1", (\d+)\)') in database
    daily = Path(dev.until(r"daily JSON +(\S+)"))

    def stored() -> bool:
        rows = succeeded_tasks(flower)
        single = [row["args"] for row in rows if row["name"] == "tasks.store_performance"]
        return any("aggregate" in args and "unrealized" in args for args in single)

    dev.wait(stored, "a task of the account that succeeded, with its arguments, in Flower")
    assert '<th data-column="args">' in requests.get(f"{flower}/tasks", timeout=10).text
    tree = requests.get(database, timeout=10).json()
    assert tree["aggregate"]["performance"].keys() == {
        *("total", "unrealized", "realized", "converted", "timestamp")
    }
    assert tree["BRK!2EB"]["orders"]
    metrics = requests.get(dev.until(r"metrics +(\S+)"), timeout=10).text
    assert "profit_bridge_ready 1.0" in metrics
    assert daily.is_relative_to(dev.folder)
    assert '"aggregate"' in daily.read_text()
    assert "\x1b" not in dev.output, "colours belong on a terminal"
    assert len(processes_of(dev.folder)) > 6

    dev.process.signal(signal.SIGINT)

    assert dev.process.wait(PATIENCE) == 0, dev.output
    assert processes_of(dev.folder) == {}
    assert list(dev.folder.iterdir()) == []
    assert not (tmp_path / "real").exists()
    assert "Traceback" not in dev.output


def test_with_rules_the_figures_move_and_who_is_not_signed_in_sees_none(
    dev_with_rules: Dev,
) -> None:
    dev = dev_with_rules
    dev.wait(lambda: moved(dev), "movement of the account and five tickers")
    database = dev.until(r"Firebase +(\S+)")
    assert "aggregate" in requests.get(database, timeout=10).json()
    signed_out = requests.get(database.replace("auth=owner&", ""), timeout=10)
    assert (signed_out.status_code, signed_out.json()) == (401, {"error": "Permission denied"})
    page = dev.until(r"live page +(\S+)")
    history = page.replace("/?", "/.history.json?")
    assert requests.get(history, timeout=10).json()
    assert requests.get(history.partition("?")[0], timeout=10).status_code == 401


def test_a_program_that_dies_is_named_and_the_others_are_stopped(dev_for_a_program: Dev) -> None:
    dev = dev_for_a_program
    addresses = json.loads(dev.until(r"(?m)^(\{.+\})$"))
    assert requests.get(addresses["Firebase"], timeout=10).ok, "every address as one line of JSON"
    dev.until(r"(Ctrl-C stops everything)")
    (bridge,) = (pid for pid, text in processes_of(dev.folder).items() if "app bridge" in text)
    os.kill(bridge, signal.SIGKILL)
    assert dev.process.wait(START_WITHIN) == 1
    assert "bridge ended by itself" in last(dev.process, 1)
    assert "bridge_started" in dev.output, "the end of its log is shown"
    assert processes_of(dev.folder) == {}


def test_a_signal_during_the_start_stops_what_was_started(dev: Dev) -> None:
    dev.until(r"(redis +ready)")
    dev.process.signal(signal.SIGTERM)
    assert dev.process.wait(PATIENCE) == 0, dev.output
    assert processes_of(dev.folder) == {}
    assert list(dev.folder.iterdir()) == []


def test_no_setting_of_a_real_deployment_reaches_the_programs() -> None:
    ours = {"FIREBASE_DATABASE_EMULATOR_HOST": "127.0.0.1:9", "REDIS_URL": "redis://127.0.0.1:8/0"}
    sealed = sealed_environment({**REAL, "PATH": "/bin"}, ours)
    from_env_file = {
        **REAL,
        "GOOGLE_APPLICATION_CREDENTIALS": "/real/key.json",
        "REDIS_URL_FILE": "/real/redis_url",
    }
    assert load_settings(from_env_file | sealed) == Settings(
        redis_url=ours["REDIS_URL"],
        celery_broker_url=ours["REDIS_URL"],
        firebase_database_emulator_host="127.0.0.1:9",
    )
    assert not {name for name in sealed if name.startswith("CELERY_BROKER_READ")}
    assert sealed["PATH"] == "/bin"
