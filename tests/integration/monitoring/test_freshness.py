"""How old performances were when Firebase took them, as all workers together saw it."""

from collections.abc import Sequence

import pytest
import redis

from app.domain import Update, to_text
from app.errors import RetryLater
from app.monitoring import FRESHNESS, FreshnessRecord, MeasuredFirebase, cumulative
from app.settings import Settings
from app.timing import now_us


class Takes:
    """A database that takes everything."""

    def store_many(self, updates: Sequence[Update]) -> None:
        pass


class TakesNothing:
    def store_many(self, updates: Sequence[Update]) -> None:
        raise RetryLater("503")


def performance(seconds_ago: float, symbol: str = "SOFI") -> Update:
    at = now_us() - int(seconds_ago * 1_000_000)
    return Update(symbol, "performance", {"total": 1.0, "timestamp": to_text(at)})


def stored(url: str, *updates: Update) -> None:
    firebase = MeasuredFirebase(Takes())
    firebase.store_many(updates)
    FreshnessRecord(Settings(redis_url=url)).add(firebase.samples)


def histogram(url: str) -> tuple[dict[str, float], float]:
    with redis.Redis.from_url(url) as client:
        counts, total = cumulative(client.hgetall(Settings().names.freshness))
    return dict(counts), total


def test_ages_are_counted_up_to_each_bound_and_summed(redis_url: str) -> None:
    stored(redis_url, performance(3, "A"), performance(20, "B"), performance(1000, "C"))
    counts, total = histogram(redis_url)
    assert list(counts) == [*map(str, FRESHNESS.buckets), "+Inf"]
    assert [counts[bound] for bound in ("2.5", "5.0", "10.0", "30.0", "300.0", "+Inf")] == [
        *(0, 1, 1, 2, 2, 3)
    ]
    assert total == pytest.approx(1023, abs=1)


def test_a_performance_that_is_stored_again_says_nothing_new(redis_url: str) -> None:
    old, new = performance(40), performance(2)
    stored(redis_url, old)
    stored(redis_url, new)
    stored(redis_url, new, old, performance(2, "AMD"))
    assert histogram(redis_url)[0]["+Inf"] == 3


def test_a_bot_whose_clock_is_ahead_is_fresh_and_no_sum_goes_down(redis_url: str) -> None:
    stored(redis_url, performance(-60))
    assert histogram(redis_url) == (dict.fromkeys([*map(str, FRESHNESS.buckets), "+Inf"], 1), 0)


def test_prices_and_orders_and_what_has_no_time_are_left_out(redis_url: str) -> None:
    price = {"price": 1, "timestamp": "2025-05-15T13:32:56+00:00"}
    stored(redis_url, Update("SOFI", "price", price), Update("SOFI", "performance", {"total": 1}))
    assert histogram(redis_url)[0]["+Inf"] == 0


def test_what_firebase_did_not_take_is_not_fresh(redis_url: str) -> None:
    firebase = MeasuredFirebase(TakesNothing())
    with pytest.raises(RetryLater):
        firebase.store_many([performance(1)])
    assert firebase.samples == []


def test_a_redis_that_is_away_does_not_fail_the_task() -> None:
    firebase = MeasuredFirebase(Takes())
    firebase.store_many([performance(1)])
    FreshnessRecord(Settings(redis_url="redis://127.0.0.1:1/0")).add(firebase.samples)
