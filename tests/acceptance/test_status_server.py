"""What is seen of a bridge from outside: its figures, and that it is red when something breaks."""

import json
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from app.dev.processes import Process, free_port
from app.monitoring import METRICS
from tests.system import (
    PATIENCE,
    System,
    envelope,
    fill,
    midnight,
    now_text,
    report,
    today,
    wait_until,
)

ANY_PORT = "127.0.0.1:0"


class Watched:
    """A bridge or subscriber whose HTTP side is asked."""

    def __init__(self, process: Process) -> None:
        self.process = process
        wait_until(lambda: "status_served" in process.log.read_text(), "HTTP side")
        self.host = process.log.read_text().partition("status_served address=")[2].split()[0]

    def get(self, page: str) -> requests.Response:
        return requests.get(f"http://{self.host}/{page}", timeout=10)

    def figures(self) -> dict[str, float]:
        """Every sample: by name, and by name and label."""
        return {
            sample.name + "".join(f" {value}" for value in sample.labels.values()): sample.value
            for family in text_string_to_metric_families(self.get("metrics").text)
            for sample in family.samples
        }

    def wait_for(self, name: str, holds: Callable[[float], bool]) -> None:
        seen: dict[str, float] = {}

        def held() -> bool:
            seen.update(self.figures())
            return name in seen and holds(seen[name])

        wait_until(held, name)

    def wait_until_ready_says(self, status: int, words: str) -> str:
        """The page /readyz, once it is that."""
        pages: list[str] = []

        def is_shown() -> bool:
            answer = self.get("readyz")
            pages.append(answer.text)
            return answer.status_code == status and words in answer.text

        wait_until(is_shown, f"{status} {words!r}")
        return pages[-1]


def test_outcomes_of_reports_are_counted_and_no_undeclared_metric_is_exposed(
    system: System,
) -> None:
    bridge = Watched(system.start_bridge(METRICS_ADDRESS=ANY_PORT))
    first = system.report("SOFI", 1.5)
    system.publish(envelope(first))
    system.publish(envelope(first | {"total": 2}))
    system.publish("no JSON")
    system.report("SOFI", 1, timestamp=(midnight(today()) - timedelta(hours=1)).isoformat())
    price = {"type": "price", "symbol": "SOFI", "price": 7, "timestamp": now_text()}
    system.publish(envelope(price), "TICKER_UPDATES_SOFI")
    system.publish(envelope(price | {"price": None}), "TICKER_UPDATES_SOFI")

    bridge.wait_for("profit_bridge_rejected_updates_total amount", lambda value: value == 1)
    bridge.wait_for("profit_bridge_values_total", lambda value: value == 1)
    bridge.wait_for("profit_bridge_late_reports_total", lambda late: late == 1)
    bridge.wait_for("profit_bridge_daily_file_write_seconds_count", lambda count: count >= 2)
    # The account and SOFI, its price, and no worker.
    bridge.wait_for("profit_bridge_slots_open", lambda slots: slots == 3)
    figures = bridge.figures()
    assert {
        name: figures[f"profit_bridge_reports_total {name}"]
        for name in ("counted", "repeated", "conflict")
    } == {"counted": 2, "repeated": 1, "conflict": 1}
    assert figures["profit_bridge_rejected_messages_total not_json"] == 1
    assert figures["profit_bridge_rejected_messages_total conflict"] == 1
    assert figures["profit_bridge_rejected_messages_total amount"] == 0
    assert figures["profit_bridge_rejected_updates_total not_json"] == 0
    assert figures["profit_bridge_batch_reports_sum"] == 4
    assert figures["profit_bridge_commit_seconds_count"] >= 1
    assert abs(figures["profit_bridge_last_report_timestamp_seconds"] - time.time()) < 60
    assert figures["profit_bridge_ledger_bytes"] > 4096
    assert figures["profit_bridge_ready"] == figures["profit_bridge_subscribed"] == 1

    page = bridge.get("metrics").text
    exposed = {line.split()[2] for line in page.splitlines() if line.startswith("# TYPE profit_")}
    assert exposed == {metric.name for metric in METRICS}
    if shutil.which("promtool") is None:
        pytest.skip("promtool is missing: install prometheus")
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=page, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def test_freshness_is_that_of_what_is_stored_for_the_first_time(system: System) -> None:
    system.start_worker()
    bridge = Watched(system.start_bridge(METRICS_ADDRESS=ANY_PORT, RECONCILE_SECONDS="1"))
    count = "profit_bridge_freshness_seconds_count"
    system.report("SOFI", 1, timestamp=now_text(timedelta(seconds=-20)))
    bridge.wait_for(count, lambda seen: seen == 2)

    writes = system.firebase.write_requests()
    wait_until(lambda: system.firebase.write_requests() > writes + 2, "reconciliation")
    figures = bridge.figures()
    assert figures[count] == 2
    assert figures["profit_bridge_freshness_seconds_bucket 10.0"] == 0
    assert figures["profit_bridge_freshness_seconds_bucket 60.0"] == 2


def test_a_redis_that_hangs_or_is_gone_is_named_and_its_password_is_not(
    system: System,
) -> None:
    url = system.redis_server.url.replace("://", "://:hush@")
    system.redis.config_set("requirepass", "hush")
    bridge = Watched(system.start_bridge(METRICS_ADDRESS=ANY_PORT, REDIS_URL=url))
    bridge.wait_until_ready_says(200, "ok")

    system.redis_server.signal(signal.SIGSTOP)
    reason = bridge.wait_until_ready_says(503, "dispatcher: cannot use Redis")
    page = bridge.get("metrics").text
    assert "profit_bridge_ready 0.0\n" in page
    assert "profit_bridge_slots_open" not in page  # unknown is not 0
    assert "hush" not in reason + page

    system.redis_server.signal(signal.SIGKILL)
    bridge.wait_until_ready_says(503, "redis: not subscribed")
    assert bridge.get("healthz").status_code == 200
    system.redis_server.wait(PATIENCE)
    system.restart_redis()
    system.redis.config_set("requirepass", "hush")
    bridge.wait_until_ready_says(200, "ok")
    assert bridge.figures()["profit_bridge_redis_reconnects_total"] >= 1


def test_a_full_disk_is_noticed_by_an_idle_bridge_and_what_it_keeps_waiting_lags(
    system: System, small_disk: Path
) -> None:
    profits = str(small_disk / "profits")
    bridge = Watched(system.start_bridge(METRICS_ADDRESS=ANY_PORT, PROFIT_BASE_PATH=profits))
    bridge.wait_until_ready_says(200, "ok")
    lag = "profit_bridge_journal_lag_seconds"
    assert bridge.figures()[lag] == 0

    fill(small_disk / "filler")
    bridge.wait_until_ready_says(503, "No space left")
    system.redis.xadd("profit-bridge:journal", {"message": envelope(report())})
    bridge.wait_for(lag, lambda seconds: seconds > 1)
    bridge.wait_until_ready_says(503, "the ledger cannot be written")
    assert bridge.get("healthz").status_code == 200

    (small_disk / "filler").unlink()
    bridge.wait_until_ready_says(200, "ok")
    bridge.wait_for(lag, lambda seconds: seconds == 0)


def test_a_main_loop_that_hangs_is_not_alive(system: System, tmp_path: Path) -> None:
    hang = tmp_path / "hang"
    program = ("-m", "tests.acceptance.bridge_that_hangs", str(hang))
    bridge = Watched(system.start("bridge", *program, METRICS_ADDRESS=ANY_PORT))
    wait_until(lambda: bridge.get("healthz").status_code == 200, "life")
    hang.touch()
    wait_until(lambda: bridge.get("healthz").status_code == 503, "a hang noticed")
    assert "main loop: no heartbeat for" in bridge.get("healthz").text
    assert bridge.get("readyz").status_code == 503
    hang.unlink()
    bridge.wait_until_ready_says(200, "ok")


def test_a_port_that_is_taken_is_one_line_and_everything_is_counted(system: System) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        bridge = system.start_bridge(METRICS_ADDRESS=address)
        system.report("SOFI", 2)
        wait_until(lambda: "SOFI" in system.daily_file(), "the report")
    lines = [line for line in bridge.log.read_text().splitlines() if "status_" in line]
    assert len(lines) == 1
    assert f"status_not_served address={address} reason=Address already in use" in lines[0]


def test_clients_that_do_not_read_hold_nothing_up(system: System) -> None:
    bridge = Watched(system.start_bridge(METRICS_ADDRESS=ANY_PORT))
    host, _, port = bridge.host.partition(":")
    with ExitStack() as slow:
        for _ in range(100):
            slow.enter_context(socket.create_connection((host, int(port)), timeout=5))
        system.report("SOFI", 2)
        wait_until(lambda: "SOFI" in system.daily_file(), "the report")

        def answers() -> bool:
            try:
                return bridge.get("healthz").ok
            except requests.ConnectionError:
                return False

        wait_until(answers, "an answer to who reads it")


def test_the_subscriber_is_watched_in_the_same_way(system: System) -> None:
    bridge = Watched(system.start_bridge("subscriber", METRICS_ADDRESS=ANY_PORT))
    system.publish(envelope(report("SOFI")), "TICKER_PERFORMANCE_SOFI")
    system.publish("no JSON", "TICKER_PERFORMANCE_SOFI")
    bridge.wait_for("profit_bridge_values_total", lambda value: value == 1)
    bridge.wait_for("profit_bridge_rejected_updates_total not_json", lambda value: value == 1)
    assert bridge.get("readyz").text == "ok\n"
    assert bridge.get("anything").status_code == 404


def lines_of(process: Process) -> list[dict[str, object]]:
    """Parse its log, in which each line must be a JSON object."""
    return [json.loads(line) for line in process.log.read_text().splitlines()]


def test_bridge_worker_and_flower_log_one_json_object_per_line(system: System) -> None:
    system.environment["LOG_FORMAT"] = "json"
    port = str(free_port())
    flower = system.start(
        "flower", "-m", "celery", "-A", "tasks", "flower", "--address=127.0.0.1", f"--port={port}"
    )
    worker = system.start_worker()
    bridge = system.start_bridge()
    system.report("SOFI", 1)
    system.publish(envelope(report('a "b"\nc')))
    wait_until(lambda: "messages_rejected" in bridge.log.read_text(), "the refusal")
    wait_until(lambda: "succeeded" in worker.log.read_text(), "a task")
    wait_until(lambda: "Visit me at" in flower.log.read_text(), "Flower")
    # Read before they are stopped: Celery answers a signal on the screen, not in its log.
    assert lines_of(worker)
    assert lines_of(flower)
    bridge.signal(signal.SIGTERM)
    assert bridge.wait(30) == 0
    events = {str(line["event"]): line for line in lines_of(bridge)}
    assert events.keys() >= {"subscribed", "bridge_started", "messages_rejected", "bridge_stopped"}
    fields = events["messages_rejected"]["fields"]
    assert isinstance(fields, dict)
    assert fields["count"] == 1
    assert fields["last"].endswith("leave it out of " + repr('a "b"\nc'))
    assert fields["last"].startswith("symbol has a character that does not print")
