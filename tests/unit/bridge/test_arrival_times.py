"""What arrives last is never older than what was stored, and never held back by a wrong clock."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from app.bridge import ArrivalTimes
from app.delivery import Slot
from app.domain import DAY, to_microseconds, to_text
from app.errors import RetryLater

NOON = to_microseconds("2025-05-15T12:00:00Z")
MINUTE, YEAR = 60_000_000, 365 * DAY


class Register:
    """What is stored, by symbol; None: Redis does not answer."""

    def __init__(self, **times: int) -> None:
        self.values: dict[str, Any] | None = {
            symbol: {"timestamp": to_text(time)} for symbol, time in times.items()
        }
        self.asked: list[str] = []

    def newest(self, slots: Sequence[Slot]) -> list[Any]:
        if self.values is None:
            raise RetryLater("no Redis")
        self.asked += [symbol for symbol, _ in slots]
        return [self.values.get(symbol) for symbol, _ in slots]


class Arrivals:
    """ArrivalTimes that are asked about one performance after the other."""

    def __init__(self, register: Register, now: int = NOON) -> None:
        self.now = now
        self.times = ArrivalTimes(register, lambda: self.now)  # type: ignore[arg-type]

    def __call__(self, *times: int, symbol: str = "SOFI") -> list[int]:
        return [self._one(symbol, time) for time in times]

    def _one(self, symbol: str, time: int) -> int:
        price, before = json.dumps({"price": 1}), {"total": 1.5, "timestamp": to_text(time)}
        values = {(symbol, "performance"): json.dumps(before), (symbol, "price"): price}
        self.times.correct(values)
        after = json.loads(values[symbol, "performance"])
        assert values[symbol, "price"] == price
        assert after == before | {"timestamp": after["timestamp"]}
        return to_microseconds(after["timestamp"])


def test_a_time_that_steps_back_or_stands_still_is_that_of_the_previous_one() -> None:
    arrivals = Arrivals(Register())
    assert arrivals(NOON - 9, NOON - 12, NOON - 9, NOON - 10, NOON - 8) == [
        *(NOON - 9, NOON - 9, NOON - 9, NOON - 9, NOON - 8)
    ]
    assert arrivals(NOON - 20, symbol="AMD") == [NOON - 20], "each symbol has times of its own"


def test_a_day_that_begins_has_its_own_time_and_one_that_is_over_never_comes_back() -> None:
    midnight = NOON + DAY // 2
    arrivals = Arrivals(Register(), now=midnight + MINUTE)
    assert arrivals(midnight - 1, midnight, midnight - 1) == [midnight - 1, midnight, midnight]


def test_a_restart_goes_on_from_what_was_stored_and_asks_once() -> None:
    register = Register(SOFI=NOON - 5)
    arrivals = Arrivals(register)
    assert arrivals(NOON - 9, NOON - 4) == [NOON - 5, NOON - 4]
    assert arrivals(NOON - 9, symbol="AMD") == [NOON - 9]
    assert register.asked == ["SOFI", "AMD"]


@pytest.mark.parametrize("ahead", [6 * MINUTE, DAY, 900 * YEAR])
def test_a_clock_far_ahead_holds_back_nothing_that_follows(ahead: int) -> None:
    arrivals = Arrivals(Register())
    assert arrivals(NOON - 9, NOON + ahead, NOON - 8) == [NOON - 9, NOON, NOON]
    arrivals.now += MINUTE
    assert arrivals(NOON + 5, NOON + ahead + 1) == [NOON + 5, NOON + MINUTE]
    assert Arrivals(Register(SOFI=NOON + ahead))(NOON - 7) == [NOON - 7]


def test_a_clock_a_little_ahead_is_believed() -> None:
    assert Arrivals(Register())(NOON + 4 * MINUTE, NOON) == [NOON + 4 * MINUTE, NOON + 4 * MINUTE]


def test_what_could_not_be_looked_up_is_looked_up_with_the_next_one() -> None:
    register = Register(SOFI=NOON - 5)
    stored, register.values = register.values, None
    arrivals = Arrivals(register)
    assert arrivals(NOON - 9) == [NOON - 9]
    register.values = stored
    assert arrivals(NOON - 8) == [NOON - 5]
