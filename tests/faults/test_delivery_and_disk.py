"""Reports repeated, reordered, late or dated by a wrong clock; disks full, torn or read-only."""

import json
import os
import random
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.accounting import FILE_NAME
from tests.faults.conftest import Record
from tests.faults.load import Trading, settle
from tests.faults.test_redis import trade_on
from tests.system import (
    PATIENCE,
    System,
    envelope,
    fill,
    midnight,
    report,
    today,
    wait_until,
)


def test_repeated_and_reordered(system: System, record: Record) -> None:
    chance = random.Random(11)
    system.start_bridge()
    system.start_worker()
    begin = datetime.now(UTC) - timedelta(minutes=1)
    begin = max(begin, midnight(today()))
    messages, sums = [], dict.fromkeys(("A", "B"), 0.0)
    for number in range(500):
        at = (begin + timedelta(milliseconds=number)).isoformat(timespec="microseconds")
        symbol = "AB"[number % 2]
        messages.append(envelope(report(symbol, number / 8, timestamp=at)))
        sums[symbol] += number / 8
    deliveries = messages * 3
    chance.shuffle(deliveries)
    for message in deliveries:
        system.publish(message)
    verdict = settle(system, sums, len(deliveries), within=30)
    record("each report three times, in any order", 1, verdict)


def test_late_across_midnight_and_unknown_past_days(system: System, record: Record) -> None:
    system.start_bridge()
    system.start_worker()
    sums: dict[str, float] = {}
    late = {day: midnight(today() - day) + timedelta(hours=5) for day in (1, 3, 6)}
    with system.listening():
        for symbol in ("A", "B"):
            system.report(symbol, 2.0)
            sums[symbol] = 2.0
            for at in late.values():
                system.report(symbol, 1.0, timestamp=at.isoformat())
    verdict = settle(system, sums, 8, within=30)
    for day in late:
        totals = {s: r["total"] for s, r in system.daily_file(today() - day).items()}
        assert totals == {"A": 1, "B": 1, "aggregate": 2}
    record("late reports for three past days", len(late), verdict)


@pytest.mark.parametrize("minutes", [-2, 2])
def test_bridge_clock_set_back_and_ahead(system: System, record: Record, minutes: int) -> None:
    bridge = system.start_bridge()
    system.start_worker()
    with Trading(system) as trading:
        trade_on(trading)
        bridge.signal(signal.SIGKILL)
        bridge.wait(PATIENCE)
        shifted = system.start("bridge", "-m", "tests.faults.bridge_with_clock", str(minutes * 60))
        wait_until(lambda: "bridge_started" in shifted.log.read_text(), "bridge")
        trade_on(trading)
    verdict = settle(system, trading.sums, trading.sent, within=30)
    record("bridge's clock set back and ahead", 1, verdict)


def test_disk_full(system: System, record: Record, small_disk: Path) -> None:
    system.base = small_disk / "profits"
    bridge = system.start_bridge(PROFIT_BASE_PATH=str(system.base))
    system.start_worker()
    with Trading(system) as trading:
        trade_on(trading)
        filler = small_disk / "filler"
        fill(filler)
        wait_until(lambda: "not_counted" in bridge.log.read_text(), "a full disk noticed")
        filler.unlink()
        trade_on(trading)
    verdict = settle(system, trading.sums, trading.sent, within=30)
    assert bridge.exit_code is None
    record("disk full, then room again", 1, verdict)


def test_daily_file_that_cannot_be_written(system: System, record: Record) -> None:
    bridge = system.start_bridge()
    system.start_worker()
    with Trading(system) as trading:
        trade_on(trading)
        wait_until(lambda: bool(system.daily_file()), "the file")
        folder = next(system.base.rglob("*_profit.json")).parent
        # A file in the folder's place: for root no folder is read-only.
        folder.rename(folder.with_name("gone"))
        folder.write_text("")
        wait_until(lambda: "daily_file_not_written" in bridge.log.read_text(), "notice")
    # Nothing is reported any more that would have the file written.
    assert settle(system, trading.sums, trading.sent, within=2).wrong
    folder.unlink()
    verdict = settle(system, trading.sums, trading.sent, within=30)
    record("daily file cannot be written, then can", 1, verdict)


def mounted(*words: str | Path) -> bool:
    """Whether `mount` did as it was told."""
    command = ["mount", *map(str, words)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def test_daily_file_on_a_disk_that_is_read_only_for_a_while(
    system: System, record: Record, small_disk: Path
) -> None:
    """The ledger is elsewhere: no disk can be made read-only while a file on it is written."""
    system.base.mkdir()
    (system.base / f"{midnight(today()):%Y}").symlink_to(small_disk)
    bridge = system.start_bridge()
    system.start_worker()
    with Trading(system) as trading:
        trade_on(trading)
        wait_until(lambda: bool(system.daily_file()), "the file")
        wait_until(lambda: mounted("-o", "remount,ro", small_disk), "a read-only disk")
        trade_on(trading)
        wait_until(lambda: "daily_file_not_written" in bridge.log.read_text(), "notice")
    # Nothing is reported any more that would have the file written.
    assert settle(system, trading.sums, trading.sent, within=2).wrong
    assert mounted("-o", "remount,rw", small_disk)
    verdict = settle(system, trading.sums, trading.sent, within=30)
    record("daily file's disk read-only, then writable again", 1, verdict)


@pytest.fixture
def disk_that_can_fail(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """A small disk that takes nothing any more when it is told to, and the image that it is in."""
    disk, image = tmp_path / "disk", tmp_path / "image"
    disk.mkdir()
    with image.open("wb") as file:
        file.truncate(24 * 1024 * 1024)
    if (
        shutil.which("mkfs.ext4") is None
        or subprocess.run(["mkfs.ext4", "-q", image], check=False).returncode
        or not mounted("-o", "loop", image, disk)
    ):
        pytest.skip("mounting a disk image is not allowed here")
    yield disk, image
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_disk_that_fails_and_becomes_read_only_under_the_bridge(
    system: System, record: Record, disk_that_can_fail: tuple[Path, Path]
) -> None:
    """What an operator does then: end the bridge, repair and mount the disk, start the bridge."""
    disk, image = disk_that_can_fail
    system.base = disk / "profits"
    bridge = system.start_bridge(PROFIT_BASE_PATH=str(system.base))
    system.start_worker()
    with Trading(system) as trading:
        trade_on(trading)
        assert mounted("-o", "remount,abort", disk)
        trade_on(trading)
        wait_until(lambda: "not_counted" in bridge.log.read_text(), "a read-only disk noticed")
        bridge.signal(signal.SIGTERM)
        assert bridge.wait(PATIENCE) == 1
        subprocess.run(["umount", str(disk)], check=True)
        assert mounted("-o", "loop", image, disk)
        system.processes.remove(bridge)
        system.start_bridge(PROFIT_BASE_PATH=str(system.base))
        trade_on(trading)
    verdict = settle(system, trading.sums, trading.sent, within=30)
    record("disk failed and read-only, then repaired", 1, verdict)


@pytest.mark.parametrize("cut", [1, 100, 5000])
def test_ledger_cut_off_in_mid_write(system: System, record: Record, cut: int) -> None:
    """What the cut takes away is still in the journal, and the read position went with it."""
    # Soon enough for the end of the file to be that of the newest commit.
    bridge = system.start("bridge", "-m", "tests.faults.bridge_that_dies", "commit", "60")
    system.start_worker()
    with Trading(system) as trading:
        assert bridge.wait(2 * PATIENCE) == -signal.SIGKILL
        log = system.base / (FILE_NAME + "-wal")
        os.truncate(log, log.stat().st_size - cut)
        system.start_bridge()
        trade_on(trading)
    verdict = settle(system, trading.sums, trading.sent, within=30)
    record("ledger cut off in mid-write", 1, verdict)


def inflict(harm: str, path: Path) -> None:
    """Do something to a daily file that its owner would not."""
    whole = path.read_bytes() if path.exists() else b"{}"
    if harm == "delete":
        path.unlink(missing_ok=True)
    elif harm == "tear":
        path.write_bytes(whole[: len(whole) // 2])
    else:
        figures = json.loads(whole)
        next(iter(figures.values()))["total"] += 9
        path.write_text(json.dumps(figures))


def is_whole(path: Path) -> bool:
    with suppress(OSError, ValueError):
        return bool(json.loads(path.read_bytes()))
    return False


@pytest.mark.parametrize("harm", ["delete", "tear", "flip"])
def test_daily_file_harmed_under_load(system: System, record: Record, harm: str) -> None:
    times = 10
    system.start_bridge()
    system.start_worker()
    with Trading(system) as trading:
        trade_on(trading)
        path = next(system.base.rglob("*_profit.json"))
        for _ in range(times):
            inflict(harm, path)
            trade_on(trading, 50)
    settle(system, trading.sums, trading.sent, within=30)
    # Once more, when no report comes that would have the file written anyway.
    inflict(harm, path)
    wait_until(lambda: is_whole(path), "a whole file")
    verdict = settle(system, trading.sums, trading.sent, within=30)
    assert harm != "tear" or list(path.parent.glob("*.unusable-*")), "the torn file was not kept"
    record(f"daily file harmed: {harm}", times, verdict)
