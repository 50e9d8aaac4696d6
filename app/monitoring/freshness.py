"""Freshness: how old a performance is, by its bot's time, when Firebase has it.

Workers are many short-lived processes that Prometheus cannot scrape. Each task adds its
measurements to a histogram in Redis, in one call, and the bridge exports that.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import structlog

from app.delivery import SLOT_TTL_SECONDS, FirebaseWriter
from app.domain import PERFORMANCE, Update, time_in
from app.errors import RetryLater
from app.messaging import connect, reaching
from app.monitoring.metrics import FRESHNESS
from app.settings import Settings
from app.timing import now_us

log = structlog.stdlib.get_logger(__name__)

_SUM = "sum"
_BOUNDS = (*map(str, FRESHNESS.buckets), "+Inf")

# A value counts only the first time: storing it again, to reconcile for instance, says nothing
# about freshness.
# KEYS: histogram, newest time by symbol
# ARGV: seconds to keep the second, then for each value: symbol, time in us, bound, age in s
_RECORD = """
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


class FreshnessSample(NamedTuple):
    """A performance that was stored, and its age in seconds."""

    symbol: str
    timestamp_us: int
    age: float


class MeasuredFirebase:
    """A Firebase client that measures the age of each performance that is stored."""

    def __init__(self, firebase: FirebaseWriter) -> None:
        self._firebase = firebase
        self.samples: list[FreshnessSample] = []

    def store_many(self, updates: Sequence[Update]) -> None:
        """Store several values in one request; raise what the client raises."""
        self._firebase.store_many(updates)
        now = now_us()
        for symbol, key, value in updates:
            timestamp_us = time_in(value) if key == PERFORMANCE else None
            if timestamp_us is not None:
                # A bot's clock may be ahead of ours, and a sum of ages must not go down.
                age = max(0, now - timestamp_us) / 1_000_000
                self.samples.append(FreshnessSample(symbol, timestamp_us, age))


class FreshnessRecord:
    """The histogram in Redis."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.redis_url
        self._keys = [settings.names.freshness, settings.names.freshness_newest]
        self._record = connect(self._url).register_script(_RECORD)

    def add(self, samples: Sequence[FreshnessSample]) -> None:
        """Add the samples of one task. Without Redis, log that: the values are stored anyway."""
        if not samples:
            return
        arguments: list[str | int] = [SLOT_TTL_SECONDS]
        for symbol, timestamp_us, age in samples:
            bound = _BOUNDS[bisect_left(FRESHNESS.buckets, age)]
            arguments += [symbol, timestamp_us, bound, f"{age:.6f}"]
        try:
            with reaching(self._url):
                self._record(keys=self._keys, args=arguments)
        except RetryLater as error:
            log.warning("freshness_not_recorded", values=len(samples), reason=error)


def cumulative(record: Mapping[bytes, bytes]) -> tuple[list[tuple[str, float]], float]:
    """Convert the hash to a Prometheus histogram: the count up to each bound, and the sum."""
    counts, total = [], 0
    for bound in _BOUNDS:
        total += int(record.get(bound.encode(), 0))
        counts.append((bound, float(total)))
    return counts, float(record.get(_SUM.encode(), 0))
