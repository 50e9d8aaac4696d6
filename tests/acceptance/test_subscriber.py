"""The subscriber stores what arrived last, whatever time another program's calculator gave it."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.delivery import FailedStores, RejectedUpdates
from app.settings import load_settings
from tests.faults.load import steps_back
from tests.rules.forms import SIGNED_IN
from tests.system import System, envelope, report, wait_until

MILLISECOND, DAY = timedelta(milliseconds=1), timedelta(days=1)


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    system = System(tmp_path, "--rules", str(SIGNED_IN))
    try:
        yield system
    finally:
        system.close()


def calculated(system: System, symbol: str, total: float, time: datetime) -> None:
    """Publish a performance as the other program does."""
    data = report(symbol, total) | {"timestamp": time.isoformat()}
    system.publish(envelope(data, "profit_calculator"), f"TICKER_PERFORMANCE_{symbol.upper()}")


def stored(system: System, symbol: str) -> dict[str, Any]:
    found: dict[str, Any] = system.firebase.get(f"services/{symbol}/performance") or {}
    return found


def stored_after(system: System, symbol: str, total: float, time: datetime) -> datetime:
    """Have a total stored, and return the time that it is stored with."""
    calculated(system, symbol, total, time)
    wait_until(lambda: stored(system, symbol).get("total") == total, f"{total} stored")
    return datetime.fromisoformat(stored(system, symbol)["timestamp"])


def test_the_last_is_stored_with_a_time_that_never_steps_back(system: System) -> None:
    subscriber = system.start_bridge("subscriber")
    system.start_worker()
    now = datetime.now(UTC)
    # Each is stored before the next one, and then a burst.
    steps = [0, -3, -3, 4, 1, -86_400_000]
    for total, step in enumerate(steps, 1):
        time = stored_after(system, "SOFI", total, now + step * MILLISECOND)
        assert time == now + max(steps[:total]) * MILLISECOND
    for total in range(10, 40):
        calculated(system, "aggregate", total, now - total * MILLISECOND)
    wait_until(lambda: stored(system, "aggregate").get("total") == 39, "the last of the burst")

    subscriber.end()
    system.start_bridge("subscriber")
    assert stored_after(system, "SOFI", 50, now - MILLISECOND) == now + 4 * MILLISECOND

    ahead = stored_after(system, "SOFI", 60, now + DAY)
    assert now < ahead <= datetime.now(UTC)
    assert stored_after(system, "SOFI", 70, now + 5 * MILLISECOND) == ahead
    later = datetime.now(UTC)
    assert stored_after(system, "SOFI", 80, later) == later

    assert not steps_back(system)
    assert not FailedStores(load_settings(system.environment)).read()


def test_what_cannot_be_stored_is_kept_and_logged_once_a_batch(system: System) -> None:
    subscriber = system.start_bridge("subscriber")
    system.start_worker()
    settings, now = load_settings(system.environment), datetime.now(UTC)
    whole = envelope(report("SOFI", 7) | {"timestamp": now.isoformat()})
    broken = [("TICKER_PERFORMANCE_SOFI", f'{{"data": {number}}}') for number in range(60)]
    broken += [
        ("TICKER_UPDATES_SOFI", '{"data": {"type": "price", "price": null}}'),
        ("TICKER_PERFORMANCE_SOFI", whole.replace("7", "true", 1)),
    ]
    with system.redis.pipeline(transaction=False) as pipeline:
        for channel, message in broken:
            pipeline.publish(channel, message)
        pipeline.execute()
    assert stored_after(system, "SOFI", 1, now - MILLISECOND) == now - MILLISECOND

    rejected = RejectedUpdates(settings)
    wait_until(lambda: len(rejected.read()) == len(broken), "all of them kept")
    assert [(one["channel"], one["message"]) for one in reversed(rejected.read())] == broken
    lines = re.findall(r"updates_rejected.*count=(\d+)", subscriber.log.read_text())
    assert sum(map(int, lines)) == len(broken)
    assert len(lines) < len(broken) / 4

    # The one that an operator has corrected goes where the others come from, and is no report.
    corrected = system.folder / "corrected.json"
    corrected.write_text(whole)
    words = ("resend", "--message", str(corrected), rejected.read()[0]["id"])
    done = system.command("rejected-updates", *words)
    assert done.returncode == 0, done.stderr
    wait_until(lambda: stored(system, "SOFI").get("total") == 7, "the corrected one stored")
    assert len(rejected.read()) == len(broken) - 1
    assert not system.redis.exists("profit-bridge:journal")
