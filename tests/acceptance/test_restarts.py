"""Stopping, killing and starting again changes no sum."""

import json
import signal
import threading
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
import requests

from app.accounting import path_of
from app.dev.processes import Process, free_port
from app.publisher import RedisPublisher
from tests.system import (
    JOURNAL,
    PATIENCE,
    System,
    envelope,
    midnight,
    now_text,
    report,
    today,
    wait_until,
)


@pytest.fixture
def publisher(system: System) -> RedisPublisher:
    return RedisPublisher(system.redis_server.url, spool=system.folder / "spool")


def lose_the_ledger(system: System, bridge: Process) -> None:
    """Kill the bridge, and leave nothing of what it knows but the daily files."""
    bridge.signal(signal.SIGKILL)
    bridge.wait(PATIENCE)
    for file in system.base.glob("ledger.sqlite3*"):
        file.unlink()


def assert_clean(system: System, day: int) -> None:
    """Nothing was refused, and the day's rows, file and Firebase agree."""
    assert not system.rejected()
    audit = system.command("audit", "--day", str(midnight(day).date()), "--within", "15")
    assert audit.returncode == 0, audit.stdout


def _is_beyond(system: System, before: float) -> bool:
    return system.total() > before


def test_journaled_reports_survive_a_bridge_that_is_down(
    system: System, publisher: RedisPublisher
) -> None:
    for _ in range(5):
        publisher.publish("PROFIT_REPORT", report("SOFI", 1), sender="bot")
    bridge = system.start_bridge()
    wait_until(lambda: system.total() == 5, "what was reported before the first start")
    bridge.signal(signal.SIGKILL)
    bridge.wait(PATIENCE)
    for _ in range(700):
        publisher.publish("PROFIT_REPORT", report("SOFI", 1), sender="bot")
    system.start_bridge()
    wait_until(lambda: system.total() == 705, "what was reported meanwhile")


def test_a_journaled_report_is_counted_and_published_once(
    system: System, publisher: RedisPublisher
) -> None:
    system.start_bridge()
    with system.listening() as listener:
        for _ in range(3):
            publisher.publish("PROFIT_REPORT", report("SOFI", 1), sender="bot")
        system.report("SOFI", 1)
        heard = listener.wait_for(8)
    assert [body["data"]["total"] for _, body in heard] == [1, 1, 2, 2, 3, 3, 4, 4]


def test_a_lost_ledger_is_rebuilt_from_the_daily_file_and_counts_nothing_twice(
    system: System, publisher: RedisPublisher
) -> None:
    bridge = system.start_bridge()
    for _ in range(20):
        publisher.publish("PROFIT_REPORT", report("SOFI", 1), sender="bot")
    wait_until(lambda: system.total() == 20, "the file")
    lose_the_ledger(system, bridge)
    publisher.publish("PROFIT_REPORT", report("SOFI", 1), sender="bot")
    system.start_worker()
    with system.listening() as listener:
        system.start_bridge()
        wait_until(lambda: system.total() == 21, "what the file has, and what was reported since")
        publisher.publish("PROFIT_REPORT", report("SOFI", 1), sender="bot")
        wait_until(lambda: system.total() == 22, "what is reported from now on")
        heard = listener.wait_for(4)
    assert [body["data"]["total"] for _, body in heard] == [21, 21, 22, 22]
    assert_clean(system, today())


def test_a_lost_ledger_rebuilds_yesterday_from_its_file_too(
    system: System, publisher: RedisPublisher
) -> None:
    """Also on a day of which there is no file yet."""
    yesterday = today() - 1

    def report_late(number: int) -> None:
        at = (midnight(yesterday) + timedelta(hours=9, seconds=number)).isoformat()
        publisher.publish("PROFIT_REPORT", report("SOFI", 1, timestamp=at), sender="bot")

    bridge = system.start_bridge()
    for number in range(5):
        report_late(number)
    wait_until(lambda: system.total(day=yesterday) == 5, "yesterday's file")
    lose_the_ledger(system, bridge)
    report_late(5)
    system.start_worker()
    bridge = system.start_bridge()
    wait_until(lambda: system.total(day=yesterday) == 6, "what was reported since")
    assert_clean(system, yesterday)
    bridge.signal(signal.SIGTERM)
    assert bridge.wait(PATIENCE) == 0
    system.start_bridge()
    report_late(6)
    wait_until(lambda: system.total(day=yesterday) == 7, "the same figures after a restart")


def test_what_the_daily_file_had_counts_once_however_often_it_is_published_again(
    system: System, publisher: RedisPublisher
) -> None:
    reports = [report("SOFI", 1) for _ in range(20)]
    bridge = system.start_bridge()
    # What is counted by the time of the first reconciliation is dropped from the journal then.
    wait_until(lambda: "cmdstat_xtrim" in system.redis.info("commandstats"), "reconciliation")
    publisher.publish("PROFIT_REPORT", report("SOFI", 0), sender="bot")
    for data in reports:
        publisher.publish("PROFIT_REPORT", data, sender="bot")
    wait_until(lambda: system.total() == 20, "the file")
    lose_the_ledger(system, bridge)
    publisher.publish("PROFIT_REPORT", reports[1], sender="bot")
    system.start("bridge", "-m", "app", "bridge")
    # As soon as there is somebody to hear it: perhaps before the journal was read.
    again = envelope(reports[0], sender="bot")
    wait_until(lambda: system.publish(again) >= 1, "the bridge")
    for data in reports:
        publisher.publish("PROFIT_REPORT", data, sender="bot")
    publisher.publish("PROFIT_REPORT", report("HOOD", 1), sender="bot")
    wait_until(lambda: system.total("HOOD") == 1, "all before it")
    assert (system.total("SOFI"), system.total()) == (20, 21)


def test_the_journal_keeps_what_the_daily_file_lacks_so_that_a_lost_ledger_loses_nothing(
    system: System,
) -> None:
    pipeline = system.redis.pipeline()
    for number in range(3_000):
        message = envelope(report("SOFI", 1, timestamp=now_text(timedelta(microseconds=number))))
        pipeline.xadd(JOURNAL, {"message": message})
    pipeline.execute()
    # Nothing can be written where the new file is made.
    path = path_of(system.base, today())
    in_the_way = path.with_name(f"{path.name}.tmp")
    in_the_way.mkdir(parents=True)
    bridge = system.start_bridge()
    wait_until(lambda: "cmdstat_xtrim" in system.redis.info("commandstats"), "reconciliation")
    lose_the_ledger(system, bridge)
    in_the_way.rmdir()
    bridge = system.start_bridge()
    wait_until(lambda: system.total() > 0, "a file")
    lose_the_ledger(system, bridge)
    system.start_bridge()
    wait_until(lambda: system.total() == 3_000, "all that was reported")
    assert not system.rejected()


def test_a_journaled_report_that_cannot_be_counted_is_kept_once(
    system: System, publisher: RedisPublisher
) -> None:
    system.start_bridge()
    publisher.publish("PROFIT_REPORT", report("SOFI", "much"), sender="bot")
    publisher.publish("PROFIT_REPORT", report("SOFI", 1), sender="bot")
    wait_until(lambda: system.total() == 1, "the good one")
    assert "\n".join(system.rejected()).count("is not a number") == 1


def test_a_kill_at_any_moment_loses_and_doubles_nothing(
    system: System, publisher: RedisPublisher
) -> None:
    """Bots go on publishing while the bridge is killed again and again."""
    sent = 0
    done = threading.Event()

    def trade() -> None:
        nonlocal sent
        while not done.is_set():
            publisher.publish("PROFIT_REPORT", report(f"S{sent % 5}", 1), sender="bot")
            sent += 1

    trading = threading.Thread(target=trade)
    trading.start()
    try:
        for _ in range(4):
            before = system.total()
            bridge = system.start_bridge()
            wait_until(partial(_is_beyond, system, before), "progress")
            bridge.signal(signal.SIGKILL)
            bridge.wait(PATIENCE)
    finally:
        done.set()
        trading.join()
    system.start_bridge()
    wait_until(lambda: system.total() == sent, f"{sent} reports counted once each")
    assert sum(system.total(f"S{n}") for n in range(5)) == sent


def test_a_redis_that_lost_the_journal_and_its_clock_is_read_from_the_start(
    system: System, publisher: RedisPublisher
) -> None:
    bridge = system.start_bridge()
    publisher.publish("PROFIT_REPORT", report("SOFI", 1), sender="bot")
    wait_until(lambda: system.total() == 1, "the first report")
    bridge.signal(signal.SIGTERM)
    bridge.wait(PATIENCE)
    system.redis.flushall()
    # A stream whose numbers are all below those that were read.
    system.redis.xadd("profit-bridge:journal", {"message": envelope(report("SOFI", 2))}, id="5-1")
    system.start_bridge()
    wait_until(lambda: system.total() == 3, "what is in the new journal")


@pytest.mark.parametrize("state", ["stopped", "running", "paused"])
def test_an_empty_redis_with_a_clock_that_is_behind_loses_no_report(
    system: System, publisher: RedisPublisher, state: str
) -> None:
    """By the time the bridge looks, the clock has passed what was read last."""
    bridge = system.start_bridge()
    publisher.publish("PROFIT_REPORT", report("SOFI", 1), sender="bot")
    wait_until(lambda: system.total() == 1, "the first report")
    signals = {"stopped": signal.SIGTERM, "paused": signal.SIGSTOP}
    if state in signals:
        bridge.signal(signals[state])
    if state == "stopped":
        bridge.wait(PATIENCE)
    last: bytes = system.redis.xinfo_stream(JOURNAL)["last-generated-id"]
    milliseconds = int(last.split(b"-")[0])
    pipeline = system.redis.pipeline()
    pipeline.delete(JOURNAL)
    for behind in (-100_000, -50_000, 0, 1):
        number = f"{milliseconds + behind}-0"
        pipeline.xadd(JOURNAL, {"message": envelope(report("SOFI", 1))}, id=number)
    pipeline.execute()
    if state == "stopped":
        system.start_bridge()
    elif state == "paused":
        bridge.signal(signal.SIGCONT)
    wait_until(lambda: system.total() == 5, "what is in the new journal")
    assert not system.rejected()


@pytest.mark.parametrize("has_read", [True, False])
def test_what_the_journal_dropped_before_it_was_read_is_named_until_an_operator_clears_it(
    system: System, has_read: bool
) -> None:
    bridge = system.start_bridge(METRICS_ADDRESS=f"127.0.0.1:{free_port()}")
    if has_read:
        system.redis.xadd(JOURNAL, {"message": envelope(report("SOFI", 1))})
        wait_until(lambda: system.total() == 1, "the first report")
    else:
        wait_until(lambda: "cmdstat_xrange" in system.redis.info("commandstats"), "a first look")
    bridge.signal(signal.SIGTERM)
    assert bridge.wait(PATIENCE) == 0
    pipeline = system.redis.pipeline()
    for number in range(5_000):
        message = envelope(report("SOFI", 1, timestamp=now_text(timedelta(microseconds=number))))
        pipeline.xadd(JOURNAL, {"message": message}, maxlen=1_000, approximate=False)
    pipeline.execute()
    address = f"127.0.0.1:{free_port()}"
    bridge = system.start_bridge(METRICS_ADDRESS=address)
    wait_until(lambda: system.total() == 1_000 + has_read, "what the journal had")
    assert bridge.log.read_text().count("the journal dropped 4000 reports") == 1

    def metric() -> str:
        lines = requests.get(f"http://{address}/metrics", timeout=5).text.splitlines()
        return next(line for line in lines if line.startswith("profit_bridge_missing_reports"))

    def doctor() -> str:
        findings = json.loads(system.command("doctor", "--json").stdout)
        return str(next(one["found"] for one in findings if one["name"] == "rejected"))

    assert metric().endswith(" 4000.0")
    assert "4000 reports" in doctor()
    assert "4000 reports" in system.command("audit", "--within", "0").stdout
    assert "4000 reports" in system.command("rejected").stdout
    assert system.command("rejected", "resend", "0").returncode == 1
    assert system.command("rejected", "clear", "0").returncode == 0
    assert metric().endswith(" 0.0")
    assert doctor() == "none"
    assert "4000" not in system.command("audit", "--within", "0").stdout


def test_sigterm_counts_what_was_received_and_exits_0(system: System) -> None:
    bridge = system.start_bridge()
    reports = [envelope(report(f"S{n % 50}", 1)) for n in range(3000)]
    pipeline = system.redis.pipeline(transaction=False)
    for message in reports:
        pipeline.publish("PROFIT_REPORT", message)
    pipeline.execute()
    bridge.signal(signal.SIGTERM)
    assert bridge.wait(PATIENCE) == 0, bridge.log.read_text()
    assert system.total() == len(reports)


@pytest.mark.parametrize("state", ["deleted", "torn", "corrupt"])
def test_a_damaged_daily_file_is_rebuilt_from_the_ledger(system: System, state: str) -> None:
    bridge = system.start_bridge()
    system.report("SOFI", 5)
    wait_until(lambda: system.total() == 5, "the file")
    path: Path = next(system.base.rglob("*_profit.json"))
    whole = path.read_bytes()
    damage = {"torn": whole[:40], "corrupt": b"\x00" * len(whole)}

    def harm() -> None:
        path.unlink() if state == "deleted" else path.write_bytes(damage[state])

    def is_whole() -> bool:
        # Only where it was deleted may there be none: what is in its place stays until it is whole.
        return (state != "deleted" or path.exists()) and path.read_bytes() == whole

    harm()
    wait_until(is_whole, "file rebuilt while running")
    bridge.signal(signal.SIGTERM)
    assert bridge.wait(PATIENCE) == 0
    harm()
    system.start_bridge()
    wait_until(is_whole, "file rebuilt at start")
    aside = list(path.parent.glob("*.unusable-*"))
    assert len(aside) == (0 if state == "deleted" else 2)


def test_redis_killed_and_restarted_is_resubscribed(system: System) -> None:
    bridge = system.start_bridge()
    system.start_worker()
    system.report("SOFI", 1)
    wait_until(lambda: system.total() == 1, "the report before")
    system.redis_server.signal(signal.SIGKILL)
    system.redis_server.wait(PATIENCE)
    system.restart_redis()

    wait_until(system.is_heard, "subscription")
    wait_until(lambda: system.total() == 2, "the report after")
    wait_until(
        lambda: system.firebase.get("services/SOFI/performance/total") == 2, "Firebase after it"
    )
    assert bridge.exit_code is None


def test_a_second_bridge_refuses_to_keep_the_same_ledger(system: System) -> None:
    system.start_bridge()
    second = system.run("-m", "app", "bridge")
    assert second.returncode == 1
    assert "another bridge already uses" in second.stderr
    assert len(second.stderr.strip().splitlines()) == 1


def test_counted_but_unpublished_reports_are_published_at_the_next_start(system: System) -> None:
    bridge = system.start_bridge()
    with system.listening() as listener:
        system.report("SOFI", 1)
        listener.wait_for(2)
    # Publishing is held up while counting goes on: kill it in between.
    system.redis.execute_command("ACL", "SETUSER", "default", "-publish")
    system.publisher_client().publish("PROFIT_REPORT", envelope(report("SOFI", 1)))
    wait_until(lambda: system.total() == 2, "the second counted")
    bridge.signal(signal.SIGKILL)
    bridge.wait(PATIENCE)
    system.redis.execute_command("ACL", "SETUSER", "default", "+publish")
    with system.listening() as listener:
        system.start_bridge()
        heard = listener.wait_for(2)
    assert [body["data"]["total"] for _, body in heard[-2:]] == [2, 2]
