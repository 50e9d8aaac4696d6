"""Redis killed, emptied, paused, half-open or full: everything is current again by itself."""

import os
import signal
import time

import pytest
import redis

from tests.faults.conftest import Record
from tests.faults.load import Trading, added, announced_totals, rounded, settle, steps_back
from tests.faults.proxy import Proxy
from tests.system import JOURNAL, System, envelope, now_text, report, wait_until


def trade_on(trading: Trading, reports: int = 100) -> None:
    before = trading.sent
    wait_until(lambda: trading.sent >= before + reports, "some trading", within=60)


def test_killed_and_restarted_under_load_with_workers_holding_retries(
    system: System, record: Record
) -> None:
    times, longest = 10, 0.0
    for_writes = [{"method": method, "status": 503, "share": 0.5} for method in ("PUT", "PATCH")]
    bridge = system.start_bridge()
    workers = [system.start_worker(concurrency=2) for _ in range(2)]
    with Trading(system) as trading:
        for _ in range(times):
            system.firebase.faults(*for_writes)
            trade_on(trading)
            system.redis_server.signal(signal.SIGKILL)
            system.redis_server.wait(5)
            system.restart_redis()
            trade_on(trading)
            system.firebase.faults()
            # Current again while trading goes on: what was reported by now is there within 30 s.
            longest = max(longest, _until_current(system, trading))
    verdict = settle(system, trading.sums, trading.sent, within=30)
    verdict.seconds = max(verdict.seconds, longest)
    assert [process.exit_code for process in (bridge, *workers)] == [None] * 3
    record("Redis killed and restarted under load, workers retry", times, verdict)


def _until_current(system: System, trading: Trading) -> float:
    begin, floor = time.monotonic(), trading.sent
    sums = dict(trading.sums)

    def current() -> bool:
        tree = system.firebase.get() or {}
        totals = {s: node.get("performance", {}).get("total", 0) for s, node in tree.items()}
        return all(totals.get(symbol, 0) >= round(total, 2) for symbol, total in sums.items())

    wait_until(current, f"the {floor} reports so far in Firebase", within=30)
    return time.monotonic() - begin


def test_restarted_with_all_its_data_lost(system: System, record: Record) -> None:
    """What waits for Firebase is lost too, and the journal's positions begin further back."""
    system.start_bridge(RECONCILE_SECONDS="5")
    worker = system.start_worker()
    system.firebase.faults(*({"method": method, "status": 503} for method in ("PUT", "PATCH")))
    # As of a Redis whose clock was an hour ahead.
    ahead = f"{time.time_ns() // 1_000_000 + 3_600_000}-0"
    system.redis.xadd(JOURNAL, {"message": envelope(report("S0", 0.0))}, id=ahead)
    with Trading(system) as trading:
        trade_on(trading)
    wait_until(lambda: announced_totals(system) == rounded(trading.sums), "all handed over")
    os.killpg(worker.pid, signal.SIGKILL)
    system.redis_server.signal(signal.SIGKILL)
    system.redis_server.wait(5)
    for path in system.folder.glob("appendonlydir/*"):
        path.unlink()
    system.restart_redis()
    system.firebase.faults()
    system.start_worker()
    # The others have nothing new to report.
    with Trading(system, symbols=1) as after:
        trade_on(after)
    verdict = settle(system, added(trading.sums, after.sums), trading.sent + after.sent, within=60)
    record("Redis restarted with all its data lost", 1, verdict)


def test_paused_again_and_again_while_tasks_are_enqueued(system: System, record: Record) -> None:
    times = 5
    system.start_bridge()
    system.start_worker()
    with Trading(system) as trading:
        for _ in range(times):
            trade_on(trading, 50)
            system.redis_server.signal(signal.SIGSTOP)
            time.sleep(3)  # the length of the pause is the fault
            system.redis_server.signal(signal.SIGCONT)
    verdict = settle(system, trading.sums, trading.sent, within=60)
    record("Redis paused for 3 s under load", times, verdict)


def test_half_open_on_the_bridges_side(system: System, record: Record) -> None:
    with Proxy(system.redis_server.port) as proxy:
        bridge = system.start_bridge(REDIS_URL=proxy.url)
        system.start_worker()
        with Trading(system) as trading:
            trade_on(trading)
            proxy.blackhole()
            wait_until(lambda: "redis_lost" in bridge.log.read_text(), "notice", within=15)
            proxy.heal()
            trade_on(trading)
        verdict = settle(system, trading.sums, trading.sent, within=30)
        record("half-open on the bridge's side", 1, verdict)


def test_half_open_on_the_workers_side(system: System, record: Record) -> None:
    with Proxy(system.redis_server.port) as proxy:
        system.start_bridge()
        worker = system.start_worker(CELERY_BROKER_URL=proxy.url)
        with Trading(system) as trading:
            trade_on(trading)
            proxy.blackhole()
            before = proxy.accepted
            wait_until(lambda: proxy.accepted > before, "a new connection", within=30)
            proxy.heal()
            trade_on(trading)
        verdict = settle(system, trading.sums, trading.sent, within=60)
        assert worker.exit_code is None
        record("half-open on the worker's side", 1, verdict)


def test_half_open_on_the_publishers_side(system: System, record: Record) -> None:
    with Proxy(system.redis_server.port) as proxy:
        system.start_bridge()
        system.start_worker()
        with Trading(system, url=proxy.url) as trading:
            trade_on(trading)
            proxy.blackhole()
            trade_on(trading)
            proxy.heal()
            trade_on(trading)
        verdict = settle(system, trading.sums, trading.sent, within=30)
        record("half-open on the publisher's side", 1, verdict)


def test_client_killed_in_mid_task(system: System, record: Record) -> None:
    times = 10
    # Some writes land late: over newer ones, if two were under way for one slot.
    late = [{"method": method, "delay": 0.2, "share": 0.5} for method in ("PUT", "PATCH")]
    system.firebase.faults(*late, {"method": "PUT", "answer_delay": 0.1})
    system.start_bridge()
    system.start_worker(concurrency=4)
    with Trading(system) as trading:
        for _ in range(times):
            trade_on(trading, 60)
            system.redis.client_kill_filter(_type="normal", skipme=True)
    verdict = settle(system, trading.sums, trading.sent, within=60)
    assert not steps_back(system)
    record("CLIENT KILL of everybody in mid-task", times, verdict)


def test_memory_full(system: System, record: Record) -> None:
    """A full Redis refuses the journal too: the bots keep their reports meanwhile."""
    bridge, worker = system.start_bridge(), system.start_worker()
    with Trading(system) as trading:
        trade_on(trading)
        system.redis.config_set("maxmemory", 1)
        with pytest.raises(redis.RedisError):
            system.redis.xadd("any", {"a": "b"})
        trade_on(trading)
        system.redis.config_set("maxmemory", 0)
        trade_on(trading)
    verdict = settle(system, trading.sums, trading.sent, within=60)
    assert (bridge.exit_code, worker.exit_code) == (None, None)
    record("Redis memory full under noeviction", 1, verdict)


def test_cut_off_for_slowness(system: System, record: Record) -> None:
    bridge = system.start_bridge()
    system.start_worker()
    system.redis.config_set("client-output-buffer-limit", "pubsub 100kb 50kb 1")
    with Trading(system, rate=1000) as trading:
        trade_on(trading)
        bridge.signal(signal.SIGSTOP)
        # More than the buffers of both sockets can hold.
        price = {"type": "price", "symbol": "NOISE", "price": 1, "timestamp": now_text()}
        for _ in range(400):
            system.publish(envelope(price | {"note": "x" * 50_000}), "TICKER_UPDATES_NOISE")
        trade_on(trading, 500)
        bridge.signal(signal.SIGCONT)
        wait_until(lambda: "redis_lost" in bridge.log.read_text(), "notice")
    # So few at a time that it soon has all that it was told of, and is told nothing more.
    with Trading(system, rate=100) as after:
        trade_on(after, 300)
    verdict = settle(system, added(trading.sums, after.sums), trading.sent + after.sent, within=60)
    record("bridge cut off by Redis for slowness", 1, verdict)


def test_tasks_lost_from_the_queue(system: System, record: Record) -> None:
    bridge = system.start_bridge(RECONCILE_SECONDS="3600")
    with Trading(system) as trading:
        trade_on(trading)

    def lost() -> bool:
        """Lose what is there; more comes as long as something was not handed over yet."""
        all_announced = announced_totals(system) == rounded(trading.sums)
        return bool(system.redis.delete("profit-bridge")) and all_announced

    wait_until(lost, "all tasks")
    system.start_worker()
    verdict = settle(system, trading.sums, trading.sent, within=60)
    assert bridge.exit_code is None
    record("all tasks lost from the queue", 1, verdict)


def test_an_order_whose_task_was_lost_is_stored(system: System) -> None:
    system.start_bridge(RECONCILE_SECONDS="3600")
    order = {"event": "fill", "order": {"id": "7"}}
    data = report("SOFI") | {"type": "order", "order_data": order}
    system.publish(envelope(data), "TICKER_UPDATES_SOFI")
    wait_until(lambda: system.redis.zcard("profit-bridge:open-orders") == 1, "the open order")
    wait_until(lambda: system.redis.llen("profit-bridge") >= 1, "the task")
    system.redis.delete("profit-bridge")
    system.start_worker()
    wait_until(lambda: system.firebase.get("services/SOFI/orders/7") is not None, "the order", 40)
