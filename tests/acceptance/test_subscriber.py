"""The subscriber stores what arrived last, whatever time another program's calculator gave it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.delivery import FailedStores
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
