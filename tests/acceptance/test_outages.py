"""Outages heal by themselves: nobody has to restart anything."""

import signal
import sqlite3
from contextlib import closing

import pytest

from tests.system import PATIENCE, System, envelope, report, wait_until


def in_firebase(system: System) -> float:
    return float(system.firebase.get("services/aggregate/performance/total") or 0)


def test_a_redis_that_neither_answers_nor_closes_is_noticed_and_found_again(
    system: System,
) -> None:
    bridge = system.start_bridge()
    system.start_worker()
    system.report("SOFI", 1)
    wait_until(lambda: in_firebase(system) == 1, "the report before")
    system.redis_server.signal(signal.SIGSTOP)
    wait_until(lambda: "redis_lost" in bridge.log.read_text(), "notice", within=15)
    system.redis_server.signal(signal.SIGCONT)
    wait_until(lambda: bridge.log.read_text().count(" subscribed ") == 2, "new subscription")
    system.report("SOFI", 1)
    wait_until(lambda: in_firebase(system) == 2, "the report after")


def test_a_stopping_bridge_waits_once_for_a_redis_that_does_not_answer(
    system: System,
) -> None:
    bridge = system.start_bridge()
    system.report("SOFI", 1)
    wait_until(lambda: system.total() == 1, "the report")
    # One more is received but neither counted nor published when everything happens at once.
    bridge.signal(signal.SIGSTOP)
    system.report("SOFI", 1)
    system.redis.ping()
    system.redis_server.signal(signal.SIGSTOP)
    bridge.signal(signal.SIGTERM)
    bridge.signal(signal.SIGCONT)
    assert bridge.wait(PATIENCE) == 0
    system.redis_server.signal(signal.SIGCONT)
    log = bridge.log.read_text()
    # Each wait takes 2 s, and it is to be over in 5 s.
    assert log.count("not_published") + log.count("journal_not_") == 1, log
    assert system.total() == 2


@pytest.mark.parametrize("who", ["reads", "writes"])
def test_nobody_else_at_the_ledger_holds_up_a_stop(system: System, who: str) -> None:
    bridge = system.start_bridge()
    system.report("SOFI", 1)
    wait_until(lambda: system.total() == 1, "the report")
    with closing(sqlite3.connect(system.base / "ledger.sqlite3", isolation_level=None)) as ledger:
        ledger.execute("BEGIN" if who == "reads" else "BEGIN IMMEDIATE")
        ledger.execute("SELECT * FROM report").fetchall()
        if who == "writes":
            system.report("SOFI", 1)
            wait_until(lambda: "not_counted" in bridge.log.read_text(), "a bridge that waits")
        bridge.signal(signal.SIGTERM)
        # SQLite itself would wait for 5 s each time.
        assert bridge.wait(5) == (0 if who == "reads" else 1), bridge.log.read_text()


def test_a_write_that_lands_after_its_timeout_does_not_stay(system: System) -> None:
    system.firebase.faults({"hold": True, "count": 1, "path": "/services/aggregate"})
    system.start_bridge(RECONCILE_SECONDS="2")
    system.start_worker(FIREBASE_TIMEOUT_SECONDS="1")
    system.report("SOFI", 1)
    wait_until(lambda: system.firebase.held() == 1, "a write under way")
    system.report("SOFI", 1)
    wait_until(lambda: in_firebase(system) == 2, "the newer value")
    system.firebase.faults()

    def late_one_is_written_over() -> bool:
        writes = [
            v for p, v in system.firebase.writes() if p.endswith("aggregate/performance/total")
        ]
        return 1 in writes and writes[-1] == 2

    wait_until(late_one_is_written_over, "the newest again")
    assert in_firebase(system) == 2


def test_a_full_redis_stops_neither_counting_nor_the_bridge(system: System) -> None:
    bridge = system.start_bridge()
    system.start_worker()
    system.report("SOFI", 1)
    wait_until(lambda: in_firebase(system) == 1, "the report before")
    system.redis.config_set("maxmemory", 1)
    for _ in range(20):
        system.publish(envelope(report("SOFI", 1)))
    wait_until(lambda: system.total() == 21, "counted although nothing can be enqueued")
    system.redis.config_set("maxmemory", 0)
    wait_until(lambda: in_firebase(system) == 21, "Firebase, once there is room")
    assert bridge.exit_code is None


def test_a_subscriber_that_redis_cuts_off_comes_back(system: System) -> None:
    system.start_bridge()
    system.redis.client_kill_filter(_type="pubsub")

    wait_until(system.is_heard, "subscription")
    wait_until(lambda: system.total() == 1, "the report")
