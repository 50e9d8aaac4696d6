"""The budget of writes to Firebase, which all workers share.

Realtime Database takes about 1,000 writes a second and 64 MB a minute, and slows down or refuses
beyond that. Whoever is about to write asks here first, and is told how long to wait. What waits
folds meanwhile: the hand-over holds changes back while tasks are waiting, so every symbol gets a
little older and none is forgotten.
"""

import time

from app.channels import KEY_PREFIX
from app.errors import RetryLater
from app.messaging import connect, reaching
from app.settings import Settings

LONGEST_WAIT = 2.0
"""Seconds that a task may wait for its turn; if it takes longer it comes again later. Well below
the lease that it holds meanwhile."""

BURST_SECONDS = 1.0
"""How much of what was not used is still there afterwards."""

_KEY = KEY_PREFIX + "budget"
_MEGABYTE = 1024 * 1024

# For each of the two the time is kept up to which it is used up. It may be in the future: a request
# that is larger than what is left goes, and those after it wait. `at` is when that was noted: where
# a clock was set back, nobody waits until it is again as late as it was. ARGV: bytes; microseconds
# that a write and a byte take of the budget; burst and longest wait in microseconds
_RESERVE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local used = redis.call('HMGET', KEYS[1], 'writes', 'bytes', 'at')
local back = math.max(0, tonumber(used[3] or '0') - now)
local writes = math.max(tonumber(used[1] or '0') - back, now - ARGV[4])
local bytes = math.max(tonumber(used[2] or '0') - back, now - ARGV[4])
local wait = math.max(writes, bytes, now) - now
local granted = wait <= tonumber(ARGV[5]) and 1 or 0
redis.call('HSET', KEYS[1], 'at', string.format('%d', now),
           'writes', string.format('%.3f', writes + granted * ARGV[2]),
           'bytes', string.format('%.3f', bytes + granted * ARGV[1] * ARGV[3]))
redis.call('EXPIRE', KEYS[1], 3600)
return {granted, wait}
"""


class WriteRateLimiter:
    """What may still be written, kept in Redis.

    Args:
        url: the Redis that all workers share.
        writes_per_second: requests, however many values each has.
        megabytes_per_minute: of their bodies.
    """

    def __init__(self, url: str, writes_per_second: float, megabytes_per_minute: float) -> None:
        self._url = url
        self._reserve = connect(url).register_script(_RESERVE)
        self._of_write = 1_000_000 / writes_per_second
        self._of_byte = 60 * 1_000_000 / (megabytes_per_minute * _MEGABYTE)

    def reserve(self, size: int) -> float:
        """Take a request of `size` bytes out of the budget.

        Returns:
            Seconds to wait before it may be sent.

        Raises:
            RetryLater: it would be more than LONGEST_WAIT, or Redis cannot be reached. Nothing is
                taken.
        """
        limits = [int(seconds * 1_000_000) for seconds in (BURST_SECONDS, LONGEST_WAIT)]
        with reaching(self._url):
            granted, wait = self._reserve(
                keys=[_KEY], args=[size, self._of_write, self._of_byte, *limits]
            )
        if not granted:
            raise RetryLater(
                f"the budget of writes to Firebase is used up for {wait / 1_000_000:.1f} s "
                "(FIREBASE_WRITES_PER_SECOND, FIREBASE_MEGABYTES_PER_MINUTE)"
            )
        return float(wait) / 1_000_000

    def acquire(self, size: int) -> None:
        """Take a request of `size` bytes out of the budget, and wait until it may be sent.

        Raises:
            RetryLater: as for `reserve`.
        """
        wait = self.reserve(size)
        if wait:
            # Even a sleep of nothing gives the processor away.
            time.sleep(wait)


def rate_limiter_of(settings: Settings) -> WriteRateLimiter:
    """The budget that the settings give."""
    return WriteRateLimiter(
        settings.redis_url,
        settings.firebase_writes_per_second,
        settings.firebase_megabytes_per_minute,
    )
