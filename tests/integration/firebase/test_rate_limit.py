"""The write rate limiter, in a real Redis, shared by several processes."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import redis

from app.errors import RetryLater
from app.firebase import BURST_SECONDS, LONGEST_WAIT, WriteRateLimiter
from app.settings import Settings
from tests.system import wait_until

MEGABYTE = 1024 * 1024


def limiter_of(url: str, writes_per_second: int, megabytes_per_minute: int) -> WriteRateLimiter:
    return WriteRateLimiter(
        Settings(
            redis_url=url,
            firebase_writes_per_second=writes_per_second,
            firebase_megabytes_per_minute=megabytes_per_minute,
        )
    )


def granted(limiter: WriteRateLimiter, sizes: list[int]) -> list[tuple[float, int]]:
    """When each request may be sent, and its size; those that are refused are left out."""
    found = []
    for size in sizes:
        try:
            # Before the call: the real time is this or later, so no span is made longer than it is.
            asked = time.monotonic()
            found.append((asked + limiter.reserve(size), size))
        except RetryLater:
            pass
    return found


def test_all_who_share_a_limit_together_never_exceed_it(redis_url: str) -> None:
    limiters = [
        limiter_of(redis_url, writes_per_second=100, megabytes_per_minute=60) for _ in range(4)
    ]
    sizes = [2_000] * 30 + [60_000] * 10 + [100] * 60
    with ThreadPoolExecutor(len(limiters)) as pool:
        found = pool.map(lambda limiter: granted(limiter, sizes), limiters)
        sent = sorted(one for part in found for one in part)
    slack = 0.05
    for start, _ in sent:
        for span in (0.5, 1.0, LONGEST_WAIT):
            inside = [size for at, size in sent if start <= at <= start + span]
            assert len(inside) <= 100 * (span + BURST_SECONDS + slack) + 1
            assert sum(inside) <= MEGABYTE * (span + BURST_SECONDS + slack) + max(inside)


def test_a_request_that_would_wait_too_long_is_refused_and_takes_nothing(redis_url: str) -> None:
    limiter = limiter_of(redis_url, writes_per_second=1000, megabytes_per_minute=6)
    assert limiter.reserve(10 * MEGABYTE) == 0
    for _ in range(3):
        with pytest.raises(RetryLater, match="FIREBASE_MEGABYTES_PER_MINUTE"):
            limiter.reserve(1)


def test_a_write_larger_than_the_limit_of_a_second_is_still_sent(redis_url: str) -> None:
    limiter = limiter_of(redis_url, writes_per_second=1, megabytes_per_minute=1)
    assert limiter.reserve(5 * MEGABYTE) == 0


def test_orders_leave_figures_their_share_and_both_stay_within_the_limit(redis_url: str) -> None:
    limiter = limiter_of(redis_url, writes_per_second=1000, megabytes_per_minute=6)
    begin = time.monotonic()
    orders = figures = 0
    while time.monotonic() < begin + 2:
        with suppress(RetryLater):
            limiter.reserve(50_000, for_orders=True)
            orders += 1
        # A fifth of the limit.
        if figures * 400 < (time.monotonic() - begin) * 20_000:
            assert limiter.reserve(400) == 0
            figures += 1
    assert figures > 50
    seconds = time.monotonic() - begin + BURST_SECONDS
    assert orders * 50_000 + figures * 400 <= seconds * MEGABYTE / 10 + 2 * 50_000


def test_an_order_larger_than_a_second_of_the_limit_holds_up_no_figure(redis_url: str) -> None:
    limiter = limiter_of(redis_url, writes_per_second=1000, megabytes_per_minute=1)
    assert limiter.reserve(5 * MEGABYTE, for_orders=True) == 0
    assert limiter.reserve(1_000) == 0
    with pytest.raises(RetryLater) as refused:
        limiter.reserve(1, for_orders=True)
    assert 290 < (refused.value.retry_after or 0) < 300


def test_a_clock_that_is_set_back_keeps_nobody_waiting(redis_url: str) -> None:
    limiter = limiter_of(redis_url, writes_per_second=10, megabytes_per_minute=6)
    hour = 3600 * 1_000_000
    # Use the limit up, so that writes are refused meanwhile.
    while limiter.reserve(10) < LONGEST_WAIT - 0.2:
        pass
    with redis.Redis.from_url(redis_url) as client:
        # To a clock that is now set back by an hour, the state looks like this.
        state = client.hgetall(Settings().names.write_rate_limiter)
        assert state
        for name, value in state.items():
            client.hset(Settings().names.write_rate_limiter, name, float(value) + hour)
    assert len(granted(limiter, [10] * 100)) < 10

    def is_granted() -> bool:
        return bool(granted(limiter, [10]))

    wait_until(is_granted, "capacity of the next second")
