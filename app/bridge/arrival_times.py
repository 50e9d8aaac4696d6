"""Times that never step back, for figures of which the newest is what arrived last."""

import json
from collections.abc import Callable, Iterable

import structlog

from app.delivery import LatestValueRegister, Slot
from app.domain import AHEAD_LIMIT, PERFORMANCE, time_in, to_microseconds, to_text
from app.errors import RetryLater
from app.timing import Timer

log = structlog.stdlib.get_logger(__name__)

_AHEAD = round(AHEAD_LIMIT.total_seconds() * 1_000_000)
_LOG_SECONDS = 60.0


class ArrivalTimes:
    """Puts each performance's time right, so that the database takes it as the newest.

    The database refuses a performance that is older than the stored one, and the times of another
    program may step back. A performance with such a time gets the time of its symbol's previous
    one, and one whose time is far ahead gets the time of its arrival: a time that is far ahead
    would hold back all that follow.

    Args:
        register: Has what was stored before this process started.
        now_us: This machine's clock.
    """

    def __init__(self, register: LatestValueRegister, now_us: Callable[[], int]) -> None:
        self._register = register
        self._now_us = now_us
        self._last: dict[str, int] = {}
        self._log_timer = Timer(_LOG_SECONDS)

    def correct(self, values: dict[Slot, str]) -> None:
        """Change the times of performances in `values`, which has JSON text by slot."""
        performances = {symbol: values[symbol, key] for symbol, key in values if key == PERFORMANCE}
        now = self._now_us()
        self._recall(performances.keys() - self._last.keys(), now)
        for symbol, text in performances.items():
            performance = json.loads(text)
            given = to_microseconds(performance["timestamp"])
            believed = self._believed(given, now, symbol)
            time = max(believed, self._last.get(symbol, believed))
            if symbol in self._last:
                self._last[symbol] = time
            if time != given:
                performance["timestamp"] = to_text(time)
                values[symbol, PERFORMANCE] = json.dumps(performance)

    def _recall(self, symbols: Iterable[str], now: int) -> None:
        """Find out how far the symbols were before this process started.

        While Redis does not answer they stay unknown, and are looked up at their next performance.
        """
        slots = [(symbol, PERFORMANCE) for symbol in symbols]
        try:
            newest = self._register.newest(slots) if slots else []
        except RetryLater:
            return
        for (symbol, _), value in zip(slots, newest, strict=True):
            time = time_in(value) or 0
            # Somebody else's time that is far ahead is left for an operator to remove.
            self._last[symbol] = time if time <= now + _AHEAD else 0

    def _believed(self, time: int, now: int, symbol: str) -> int:
        if time <= now + _AHEAD:
            return time
        if self._log_timer.is_due():
            log.warning(
                "time_far_ahead",
                symbol=symbol,
                timestamp=to_text(time),
                hint="stored with the time of arrival: correct the clock of its sender",
            )
        return now
