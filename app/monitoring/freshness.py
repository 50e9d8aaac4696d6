"""How fresh what the front end shows is: from the bot's own time to when Firebase had it.

Workers are many short-lived processes, and nobody asks them for metrics. They add what they
measured to a histogram in Redis, in one call for each task, and the bridge shows that.
"""

import logging
import time
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from app.channels import KEY_PREFIX
from app.delivery import SLOT_TTL_SECONDS, FirebaseWriter
from app.domain import PERFORMANCE, Update, time_in
from app.errors import RetryLater
from app.messaging import connect, reaching
from app.monitoring.metrics import FRESHNESS

log = logging.getLogger(__name__)

FRESHNESS_KEY = KEY_PREFIX + "freshness"
"""Hash: how many by upper bound (`+Inf` for those above all), and `sum` in seconds."""

_NEWEST_KEY = FRESHNESS_KEY + ":newest"
_SUM = "sum"
_BOUNDS = (*map(str, FRESHNESS.buckets), "+Inf")

# A value that is stored again, by reconciliation for instance, says nothing about freshness: only
# the first time counts. ARGV: keep s, then per value: symbol, its time in us, bound, age in s
_NOTE = """
local counts, sum = {}, 0
for i = 2, #ARGV, 4 do
  if tonumber(ARGV[i + 1]) > tonumber(redis.call('HGET', KEYS[2], ARGV[i]) or '0') then
    redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
    counts[ARGV[i + 2]] = (counts[ARGV[i + 2]] or 0) + 1
    sum = sum + ARGV[i + 3]
  end
end
for bound, count in pairs(counts) do
  redis.call('HINCRBY', KEYS[1], bound, count)
end
if next(counts) then
  redis.call('HINCRBYFLOAT', KEYS[1], 'sum', string.format('%.6f', sum))
  redis.call('EXPIRE', KEYS[2], ARGV[1])
end
"""


class Sample(NamedTuple):
    """A performance that was stored: its symbol, its time in microseconds, its age in seconds."""

    symbol: str
    at: int
    age: float


class MeasuredFirebase:
    """Firebase, and how old the performances were that it took."""

    def __init__(self, firebase: FirebaseWriter) -> None:
        self._firebase = firebase
        self.samples: list[Sample] = []

    def store_many(self, updates: Sequence[Update]) -> None:
        """Store several values in one request. Raises what the other one does."""
        self._firebase.store_many(updates)
        now = time.time_ns() // 1000
        for symbol, key, value in updates:
            if key == PERFORMANCE:
                at = time_in(value)
                if at is None:
                    continue
                # The bot's clock may be ahead of ours; a sum of ages must not go down.
                self.samples.append(Sample(symbol, at, max(0, now - at) / 1_000_000))


class FreshnessRecord:
    """The histogram in Redis."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._note = connect(url).register_script(_NOTE)

    def note(self, samples: Sequence[Sample]) -> None:
        """Add what one task stored. What Redis does not take is not told: it was stored."""
        if not samples:
            return
        arguments: list[str | int] = [SLOT_TTL_SECONDS]
        for symbol, at, age in samples:
            arguments += [symbol, at, _BOUNDS[bisect_left(FRESHNESS.buckets, age)], f"{age:.6f}"]
        try:
            with reaching(self._url):
                self._note(keys=[FRESHNESS_KEY, _NEWEST_KEY], args=arguments)
        except RetryLater as error:
            log.warning("freshness_not_noted values=%d reason=%s", len(samples), error)


def cumulative(record: Mapping[bytes, bytes]) -> tuple[list[tuple[str, float]], float]:
    """The hash as Prometheus has a histogram: how many up to each bound, and the sum."""
    counts, total = [], 0
    for bound in _BOUNDS:
        total += int(record.get(bound.encode(), 0))
        counts.append((bound, float(total)))
    return counts, float(record.get(_SUM.encode(), 0))
