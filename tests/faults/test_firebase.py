"""Firebase down, slow, unsure or refusing: current within seconds of its return."""

import json
import random
import threading
from contextlib import suppress
from typing import Any

import pytest
import requests

from app.delivery import MAX_TASKS_WAITING
from tests.faults.conftest import Record
from tests.faults.load import Trading, added, rounded, settle, steps_back, totals_in_firebase
from tests.faults.test_redis import trade_on
from tests.system import System, envelope, report, wait_until

WRITES = ("PUT", "PATCH")


def memory_of(pid: int) -> int:
    """Resident memory in KiB."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def test_down_for_two_minutes_under_load(system: System, record: Record) -> None:
    bridge = system.start_bridge()
    system.start_worker(concurrency=4)
    most_waiting, memory = 0, [0, 0]
    with Trading(system, symbols=50, rate=1000) as trading:
        trade_on(trading, 2000)
        system.firebase.faults(*({"method": method, "status": 503} for method in WRITES))
        for second in range(120):
            trade_on(trading, 1000)
            waiting = int(system.redis.llen("profit-bridge")) + int(system.redis.hlen("unacked"))
            most_waiting = max(most_waiting, waiting)
            if second == 20:
                memory[0] = memory_of(bridge.pid)
        memory[1] = memory_of(bridge.pid)
        system.firebase.faults()
    verdict = settle(system, trading.sums, trading.sent, within=5)
    record("Firebase down for 2 min, 1,000 reports/s, 50 symbols", 1, verdict)
    print(f"at most {most_waiting} tasks; bridge {memory[0]} KiB, then {memory[1]} KiB")
    assert most_waiting <= 60
    assert memory[1] <= 1.1 * memory[0]


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("503 for a share of calls", {"status": 503, "share": 0.3}),
        ("slow, 40 ms", {"answer_delay": 0.04}),
        ("slow, 3 s for a share", {"delay": 3, "share": 0.1}),
        ("commit, then drop the connection", {"drop": True, "commit": True, "share": 0.3}),
        ("drop the connection, then nothing", {"drop": True, "share": 0.3}),
    ],
)
def test_troubled(system: System, record: Record, name: str, fault: dict[str, object]) -> None:
    system.firebase.faults(*(fault | {"method": method} for method in WRITES))
    system.start_bridge()
    system.start_worker(concurrency=4)
    with Trading(system, symbols=20) as trading:
        trade_on(trading, 2000)
    system.firebase.faults()
    verdict = settle(system, trading.sums, trading.sent, within=30)
    assert not steps_back(system)
    record(f"Firebase: {name}", 1, verdict)


def test_writes_that_land_after_their_timeout_over_newer_data(
    system: System, record: Record
) -> None:
    """With no other report and no reconciliation, the register alone has them written over."""
    late = 3
    system.start_bridge(RECONCILE_SECONDS="3600")
    system.start_worker(concurrency=4, FIREBASE_TIMEOUT_SECONDS="1")
    system.firebase.faults(*({"hold": True, "method": m, "count": late} for m in WRITES))
    with Trading(system, symbols=4) as trading:
        wait_until(lambda: system.firebase.held() >= late, "writes under way", within=60)
        trade_on(trading, 200)
    settle(system, trading.sums, trading.sent, within=30)
    committed = len(system.firebase.writes())
    system.firebase.faults()
    # Else all may be found right before the first of them has landed.
    wait_until(lambda: len(system.firebase.writes()) >= committed + late, "late writes")
    verdict = settle(system, trading.sums, trading.sent, within=90)
    record("writes that land late, over newer data", late, verdict)


def failed_stores(system: System) -> str:
    return system.run("-m", "app", "failed-stores").stdout


def refused_totals(system: System) -> dict[str, float]:
    """The newest total of each symbol that Firebase refused."""
    refused: Any = system.redis.hvals("profit-bridge:refused-stores")
    failed = [json.loads(entry) for entry in refused]
    return {entry["symbol"]: entry["value"]["total"] for entry in failed}


def test_one_poisoned_symbol_in_a_bulk_write(system: System, record: Record) -> None:
    system.start_bridge()
    # With so many tasks waiting, all that is reported from now on comes to be one bulk write.
    with Trading(system, symbols=1) as first:
        wait_until(lambda: system.redis.llen("profit-bridge") >= MAX_TASKS_WAITING, "waiting tasks")
    with Trading(system, symbols=40) as trading:
        trade_on(trading, 400)
        trading.report("POISON", 1.0)
    system.firebase.faults(
        *({"contains": "POISON", "status": 400, "method": method} for method in WRITES),
        {"path": "/services/POISON", "status": 400, "method": "PUT"},
    )
    system.start_worker()
    wait_until(lambda: len(totals_in_firebase(system)) == 41, "all others", within=60)
    assert "POISON" not in totals_in_firebase(system)
    wait_until(lambda: "POISON" in failed_stores(system), "its failure")
    system.firebase.faults()
    system.publish(envelope(report("POISON", 0.0)))
    sums = added(first.sums, trading.sums)
    verdict = settle(system, sums, first.sent + trading.sent, within=60)
    record("one poisoned symbol in bulk writes", 1, verdict)


def test_rules_that_deny_one_symbol(system: System, record: Record) -> None:
    deny = [{"contains": "DENIED", "status": 401, "method": method} for method in WRITES]
    system.firebase.faults(*deny, {"path": "/services/DENIED", "status": 401, "method": "PUT"})
    system.start_bridge(RECONCILE_SECONDS="5")
    system.start_worker()
    with Trading(system, symbols=3) as trading:
        trading.report("DENIED", 1.0)
        trade_on(trading, 200)
    wait_until(lambda: "credentials or the rules" in failed_stores(system), "its failure")
    wait_until(lambda: len(totals_in_firebase(system)) == 4, "all others")
    system.firebase.faults()
    verdict = settle(system, trading.sums, trading.sent, within=60)
    record("rules that deny one symbol, then fixed", 1, verdict)


def test_credentials_that_are_wrong_and_then_fixed(system: System, record: Record) -> None:
    system.firebase.faults(*({"status": 401, "method": method} for method in WRITES))
    system.start_bridge(RECONCILE_SECONDS="5")
    system.start_worker()
    with Trading(system) as trading:
        trade_on(trading, 300)
    wait_until(lambda: refused_totals(system).keys() == rounded(trading.sums).keys(), "all refused")
    system.firebase.faults()
    verdict = settle(system, trading.sums, trading.sent, within=60)
    record("credentials wrong, then fixed", 1, verdict)


def test_a_fifth_of_the_nodes_corrupted_by_hand(system: System, record: Record) -> None:
    symbols = 50
    system.start_bridge(RECONCILE_SECONDS="8")
    system.start_worker()
    with Trading(system, symbols=symbols) as trading:
        trade_on(trading, 500)
    settle(system, trading.sums, trading.sent, within=30)
    chance = random.Random(7)
    corrupted = chance.sample(sorted(trading.sums), symbols // 5)
    touched: list[str] = []
    listening = threading.Event()

    def listen() -> None:
        # The stream breaks off when the database is stopped.
        with suppress(requests.RequestException), system.firebase.stream("services") as lines:
            listening.set()
            for line in lines:
                if line.startswith("data:") and '"path"' in line:
                    touched.append(json.loads(line[5:])["path"])

    for symbol in corrupted:
        system.firebase.put(f"services/{symbol}/performance", {"total": -1})
    threading.Thread(target=listen, daemon=True).start()
    assert listening.wait(10)
    verdict = settle(system, trading.sums, trading.sent, within=30)
    changed = {path.split("/")[1] for path in touched if path != "/"}
    assert changed <= set(corrupted), changed
    record("a fifth of the Firebase nodes corrupted by hand", len(corrupted), verdict)
