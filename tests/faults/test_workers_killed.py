"""Killing workers in mid-write leaves nothing old behind."""

import os
import random
import signal
from contextlib import suppress

from tests.acceptance.test_workers import children_of
from tests.faults.conftest import Record
from tests.faults.load import Trading, settle
from tests.system import PATIENCE, System, wait_until

CHANCE = random.Random(5)


def test_children_killed_in_mid_write(system: System, record: Record) -> None:
    kills = 70
    system.firebase.faults(
        {"method": "PUT", "answer_delay": 0.05}, {"method": "PATCH", "delay": 0.05}
    )
    system.start_bridge()
    worker = system.start_worker(concurrency=2)
    children: list[int] = []

    def has_children() -> bool:
        # DeadLetters: the next look may find none.
        children[:] = children_of(worker)
        return bool(children)

    with Trading(system) as trading:
        for _ in range(kills):
            before = trading.sent
            wait_until(lambda before=before: trading.sent > before + 20, "some trading")  # type: ignore[misc]
            wait_until(has_children, "children")
            with suppress(ProcessLookupError):
                os.kill(CHANCE.choice(children), signal.SIGKILL)
    verdict = settle(system, trading.sums, trading.sent, within=60)
    assert worker.exit_code is None
    record("worker child killed in mid-write", kills, verdict)


def test_workers_killed_whole(system: System, record: Record) -> None:
    kills = 32
    system.firebase.faults(
        {"method": "PUT", "answer_delay": 0.05}, {"method": "PATCH", "delay": 0.05}
    )
    system.start_bridge()
    workers = [system.start_worker(concurrency=2) for _ in range(2)]
    with Trading(system) as trading:
        for _ in range(kills):
            victim = workers.pop(0)
            os.killpg(victim.pid, signal.SIGKILL)
            victim.wait(PATIENCE)
            system.processes.remove(victim)
            workers.append(system.start_worker(concurrency=2))
    verdict = settle(system, trading.sums, trading.sent, within=60)
    record("worker killed with all its processes", kills, verdict)
