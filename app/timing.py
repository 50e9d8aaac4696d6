"""The clock, the pauses between retries, and timers."""

import random
import time


def now_us() -> int:
    """Return this machine's time in microseconds since 1970 UTC."""
    return time.time_ns() // 1000


class Backoff:
    """Pauses between retries that double up to a limit.

    Each pause is shortened at random by up to half, so that clients that failed together do not
    all come back at the same moment.

    Args:
        first: Longest first pause, in seconds.
        longest: Longest pause of all, in seconds.
    """

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._retries = 0

    def pause(self, retry: int) -> float:
        """Return the seconds to wait before the retry with this number, counted from 0."""
        # The exponent is bounded because a retry may have any number, and a float may not.
        seconds = min(self._first * 2.0 ** min(retry, 30), self._longest)
        return seconds * random.uniform(0.5, 1)  # noqa: S311 - not a secret

    def next_pause(self) -> float:
        """Return the seconds to wait now, and wait longer the next time."""
        self._retries += 1
        return self.pause(self._retries - 1)

    def reset(self) -> None:
        """Start over with the first pause: the last attempt succeeded."""
        self._retries = 0


class Timer:
    """Tells when something that is done regularly is due; it is due at once when it is new.

    Args:
        interval: Seconds from one run to the next.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._due_at = 0.0

    def is_due(self) -> bool:
        """Return whether the interval is over, and if so start the next one."""
        now = time.monotonic()
        if now < self._due_at:
            return False
        self._due_at = now + self._interval
        return True
