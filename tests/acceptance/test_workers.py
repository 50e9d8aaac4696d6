"""Workers, as processes: whatever they do in which order, Firebase ends on the newest."""

import os
import signal
import time
from collections import defaultdict
from typing import Any

import pytest
from celery import Celery

from app.dev.processes import Process
from app.firebase import BURST_SECONDS
from tests.system import System, envelope, now_text, report, wait_until

PERFORMANCE = {
    "total": 28.76, "unrealized": 28.76, "realized": 0.0, "converted": 0.0,
    "timestamp": "2025-05-15T13:32:56.582434+00:00",
}  # fmt: skip


@pytest.fixture
def celery(system: System) -> Celery:
    """A client as another program would be: it knows the tasks by name only."""
    app = Celery(broker=system.redis_server.url)
    app.conf.task_default_queue = "profit-bridge"
    app.conf.broker_transport_options = {"visibility_timeout": 300}
    return app


def performances(system: System) -> dict[str, Any]:
    return {s: node.get("performance") for s, node in (system.firebase.get() or {}).items()}


def totals_written(system: System) -> dict[str, list[float]]:
    totals = defaultdict(list)
    for path, value in system.firebase.writes():
        if path.endswith("/performance/total"):
            totals[path].append(value)
    return totals


def test_two_workers_and_a_slow_firebase_never_step_back_and_end_equal_to_the_ledger(
    system: System,
) -> None:
    system.firebase.faults({"delay": 0.02, "answer_delay": 0.02})
    system.start_bridge()
    for _ in range(2):
        system.start_worker(concurrency=4)
    symbols = [f"S{n}" for n in range(8)]
    # Only gains, so that a total that falls is a step back.
    gains = [0.5 + n % 7 for n in range(3000)]
    for first in range(0, len(gains), 5):
        # A few in each round trip: on a busy machine that is what takes the time.
        pipeline = system.redis.pipeline(transaction=False)
        for n in range(first, first + 5):
            pipeline.publish("PROFIT_REPORT", envelope(report(symbols[n % 8], gains[n])))
        pipeline.execute()
    # Before that Firebase may be equal to the file while the last reports are on their way.
    wait_until(lambda: system.total("aggregate") == sum(gains), "the file", within=120)
    wait_until(
        lambda: performances(system) == system.daily_file(), "Firebase like the file", within=120
    )
    assert sum(system.total(symbol) for symbol in symbols) == sum(gains)
    for path, totals in totals_written(system).items():
        assert totals == sorted(totals), path


def test_tasks_in_reverse_order_and_repeated_end_on_the_newest(
    system: System, celery: Celery
) -> None:
    values = [PERFORMANCE | {"total": n, "timestamp": now_text()} for n in range(20)]
    for value in [*reversed(values), *values[::3]]:
        celery.send_task("tasks.store_performance", ("SOFI", value))
    system.start_worker(concurrency=4)
    celery.send_task("tasks.store_performance", ("HOOD", values[0]))
    wait_until(lambda: set(performances(system)) == {"SOFI", "HOOD"}, "both symbols")
    wait_until(lambda: performances(system)["SOFI"]["total"] == 19, "the newest")
    assert totals_written(system)["services/SOFI/performance/total"][-1] == 19


def test_firebase_failing_for_a_share_of_calls_ends_current(system: System) -> None:
    system.start_bridge()
    system.start_worker(concurrency=4)
    for_writes = [{"method": "PUT"}, {"method": "PATCH"}]
    system.firebase.faults(
        *({"status": 503, "share": 0.3} | method for method in for_writes),
        *({"drop": True, "commit": True, "share": 0.1} | method for method in for_writes),
    )
    for n in range(200):
        system.report(f"S{n % 10}", 1)
    wait_until(lambda: system.total() == 200, "the file")
    wait_until(lambda: performances(system) == system.daily_file(), "Firebase", within=60)


def test_the_backlog_of_an_outage_is_bounded_by_symbols_and_gone_soon_after(
    system: System,
) -> None:
    system.firebase.faults({"status": 503})
    system.start_bridge()
    system.start_worker(concurrency=2)
    symbols = 12
    for n in range(2000):
        system.publish(envelope(report(f"S{n % symbols}", 1)))
    wait_until(lambda: system.total() == 2000, "the file")
    waiting = int(system.redis.llen("profit-bridge")) + int(system.redis.hlen("unacked"))
    assert waiting <= 3 * (symbols + 1)
    system.firebase.faults()
    wait_until(lambda: performances(system) == system.daily_file(), "Firebase")


def test_a_low_write_limit_is_never_exceeded_and_every_symbol_ends_current(system: System) -> None:
    per_second = 3
    system.start_bridge()
    workers = [
        system.start_worker(concurrency=2, FIREBASE_WRITES_PER_SECOND=str(per_second))
        for _ in range(2)
    ]
    begin = time.monotonic()
    with system.listening() as listener:
        for n in range(80):
            system.report(f"S{n}", 1)
            # One by one, so that each could be a write of its own.
            listener.wait_for(2 * n + 2)
    wait_until(lambda: system.total() == 80, "the file")
    wait_until(lambda: performances(system) == system.daily_file(), "Firebase", within=90)
    # At most the limit for the time, the burst of a second, and one write of each process.
    most = per_second * (time.monotonic() - begin + BURST_SECONDS) + 4
    assert system.firebase.write_requests() <= most
    assert all(worker.exit_code is None for worker in workers)


def children_of(process: Process) -> list[int]:
    with open(f"/proc/{process.pid}/task/{process.pid}/children") as file:
        return [int(pid) for pid in file.read().split()]


def test_a_worker_child_killed_in_mid_write_loses_nothing(system: System) -> None:
    system.firebase.faults({"hold": True, "count": 1})
    system.start_bridge(RECONCILE_SECONDS="3600")
    worker = system.start_worker(concurrency=1)
    system.report("SOFI", 1)
    wait_until(lambda: system.firebase.held() == 1, "a write under way")
    for child in children_of(worker):
        os.kill(child, signal.SIGKILL)
    system.firebase.faults()
    system.report("SOFI", 1)
    wait_until(
        lambda: performances(system).get("SOFI", {}).get("total") == 2,
        "the newest, once the lease of the dead one is over",
        within=60,
    )
    assert worker.exit_code is None


def test_final_failures_are_kept_and_do_not_hold_up_others(system: System, celery: Celery) -> None:
    system.firebase.faults({"status": 401, "path": "/services/HOOD"})
    worker = system.start_worker()
    celery.send_task("tasks.store_performance", ("HOOD", PERFORMANCE))
    celery.send_task("tasks.store_performance", ("SOFI", {"total": "much"}))
    celery.send_task("tasks.store_performance", ("SOFI", PERFORMANCE))
    celery.send_task("tasks.store_ticker_data", ("SOFI", "orders/", {"replaces": "all orders"}))
    wait_until(lambda: performances(system).get("SOFI") == PERFORMANCE, "the good one")
    wait_until(lambda: system.redis.hlen("profit-bridge:refused-stores") == 3, "all failures")
    failed = system.run("-m", "app", "failed-stores").stdout
    assert "HOOD performance" in failed
    assert "credentials or the rules" in failed
    assert "unrealized is missing: add it" in failed
    assert "'orders/' is no key" in failed
    assert system.firebase.get("services") == {"SOFI": {"performance": PERFORMANCE}}
    assert "Traceback" not in worker.log.read_text()
