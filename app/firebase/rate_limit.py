"""The write rate limiter, which all workers share.

Realtime Database accepts about 1,000 writes a second and 64 MB a minute; beyond that it slows down
or refuses. While writes wait for the limiter, the dispatcher holds further changes back and keeps
only the latest of each slot: every symbol gets a little older, and none is forgotten.
"""

import time
from pathlib import Path

from app.errors import RetryLater
from app.messaging import connect, reaching
from app.settings import Settings

LONGEST_WAIT = 2.0
"""Seconds that a write may wait for its turn; one that would wait longer is retried later. Well
below the lease that its task holds meanwhile."""

LONGEST_WAIT_OF_ORDERS = 0.1
"""The same for orders: a process that waits with them would be missing for figures."""

BURST_SECONDS = 1.0
"""Seconds of unused capacity that are kept for a burst."""

SHARE_OF_FIGURES = 0.5
"""The share of the limits that orders never take from performances and prices."""

_RESERVE = Path(__file__).with_name("lua").joinpath("reserve_write.lua").read_text()
_MEGABYTE = 1024 * 1024
_SECOND_US = 1_000_000


class WriteRateLimiter:
    """Limits the requests and the megabytes that all workers together write to Firebase."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.redis_url
        self._key = settings.names.write_rate_limiter
        self._script = connect(self._url).register_script(_RESERVE)
        bytes_per_minute = settings.firebase_megabytes_per_minute * _MEGABYTE
        self._limits = [
            _SECOND_US / settings.firebase_writes_per_second,
            60 * _SECOND_US / bytes_per_minute,
            int(BURST_SECONDS * _SECOND_US),
        ]

    def reserve(self, size: int, *, for_orders: bool = False) -> float:
        """Reserve a write of `size` bytes.

        Returns:
            Seconds to wait before sending it.

        Raises:
            RetryLater: The wait would be too long, or Redis cannot be reached. Nothing is reserved.
        """
        longest_wait = LONGEST_WAIT_OF_ORDERS if for_orders else LONGEST_WAIT
        arguments = [size, *self._limits, int(longest_wait * _SECOND_US)]
        arguments.append(0 if for_orders else SHARE_OF_FIGURES)
        with reaching(self._url):
            granted, wait = self._script(keys=[self._key], args=arguments)
        seconds = float(wait) / _SECOND_US
        if not granted:
            error = RetryLater(
                f"the limit on writes to Firebase is used up for {seconds:.1f} s: if Firebase can "
                "take more, raise FIREBASE_WRITES_PER_SECOND or FIREBASE_MEGABYTES_PER_MINUTE"
            )
            error.retry_after = seconds
            raise error
        return seconds

    def acquire(self, size: int, *, for_orders: bool = False) -> None:
        """Reserve a write of `size` bytes, and wait until it may be sent.

        Raises:
            RetryLater: As `reserve`.
        """
        wait = self.reserve(size, for_orders=for_orders)
        if wait:  # sleep(0) would still give the processor away
            time.sleep(wait)
