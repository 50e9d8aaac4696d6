"""Killing the bridge, anywhere, changes no sum."""

import random
import signal
import time

import pytest

from app.publisher import RedisPublisher
from tests.faults.bridge_that_dies import STEPS
from tests.faults.conftest import Record
from tests.faults.load import Trading, settle, steps_back
from tests.system import PATIENCE, System, report, wait_until

CHANCE = random.Random(3)


@pytest.mark.parametrize("part", range(5))
def test_killed_at_random_moments(system: System, record: Record, part: int) -> None:
    kills = 50
    system.start_worker()
    with Trading(system) as trading:
        for _ in range(kills):
            bridge = system.start("bridge", "-m", "app", "bridge")
            # From before the first connection to well into the work.
            time.sleep(CHANCE.uniform(0.1, 1.3))
            bridge.signal(signal.SIGKILL)
            bridge.wait(PATIENCE)
            system.processes.remove(bridge)
    system.start_bridge()
    verdict = settle(system, trading.sums, trading.sent, within=60)
    record("bridge killed at random moments", kills, verdict)


@pytest.mark.parametrize("step", STEPS)
def test_killed_right_after_a_step(system: System, record: Record, step: str) -> None:
    kills = 12
    system.start_worker()
    with Trading(system) as trading:
        for number in range(kills):
            command = ("-m", "tests.faults.bridge_that_dies", step, str(1 + number % 4))
            bridge = system.start("bridge", *command)
            assert bridge.wait(PATIENCE) == -signal.SIGKILL, bridge.log.read_text()
            system.processes.remove(bridge)
    system.start_bridge()
    verdict = settle(system, trading.sums, trading.sent, within=60)
    record(f"bridge killed right after {step}", kills, verdict)


def test_killed_while_a_lost_ledger_is_rebuilt(system: System, record: Record) -> None:
    """Each start dies right after its first commit: in the midst of what the file has, then later.

    What the file contains is never published again. Later reports are published once, and their
    totals are never too small.
    """
    before, kills, since_each = 1300, 3, 3
    sums = {"SOFI": 0.0}
    publisher = RedisPublisher(system.redis_server.url, spool=system.folder / "spool")

    def publish(count: int) -> None:
        for _ in range(count):
            publisher.publish("PROFIT_REPORT", report("SOFI", 1), sender="bot")
            sums["SOFI"] += 1

    bridge = system.start_bridge()
    system.start_worker()
    publish(before)
    assert not settle(system, sums, before, within=30).differences
    bridge.signal(signal.SIGKILL)
    bridge.wait(PATIENCE)
    system.processes.remove(bridge)
    for file in system.base.glob("ledger.sqlite3*"):
        file.unlink()
    with system.listening() as listener:
        for _ in range(kills):
            publish(since_each)
            bridge = system.start("bridge", "-m", "tests.faults.bridge_that_dies", "commit", "1")
            assert bridge.wait(PATIENCE) == -signal.SIGKILL, bridge.log.read_text()
            system.processes.remove(bridge)
            assert system.total("SOFI") >= before
        system.start_bridge()
        publish(1)
        sent = int(sums["SOFI"])
        heard = listener.wait_for(2 * (sent - before))
    publisher.close()
    totals = [body["data"]["total"] for channel, body in heard if channel.endswith("_SOFI")]
    assert totals == list(range(before + 1, sent + 1))
    verdict = settle(system, sums, sent, within=30)
    assert not steps_back(system)
    record("killed while a lost ledger is rebuilt", kills, verdict)


def test_a_second_bridge_refuses_until_the_first_is_killed(system: System, record: Record) -> None:
    first = system.start_bridge()
    system.start_worker()
    with Trading(system) as trading:
        assert system.run("-m", "app", "bridge").returncode == 1
        first.signal(signal.SIGKILL)
        first.wait(PATIENCE)
        system.start_bridge()
        before = trading.sent
        wait_until(lambda: trading.sent > before + 100, "some trading")
    verdict = settle(system, trading.sums, trading.sent, within=30)
    record("two bridges at once, then the first is killed", 1, verdict)
