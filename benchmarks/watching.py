"""Seeing that something is done, without costing those anything who do it."""

import contextlib
import json
from typing import Any

from app.channels import AGGREGATE, RedisNames
from benchmarks.load import MARKER, Load, connect
from benchmarks.stage import Stage, wait_for

NAMES = RedisNames("")

Figures = dict[str, dict[str, Any]]


class Announcement:
    """A plain socket that hears one symbol's TICKER_PERFORMANCE, and nothing else."""

    def __init__(self, url: str, symbol: str = MARKER) -> None:
        self._socket = connect(url)
        self._socket.sendall(b"SUBSCRIBE %b\r\n" % NAMES.performance_channel(symbol).encode())
        self._socket.recv(1024)

    def wait(self, within: float) -> None:
        """Wait for the next message. Raises TimeoutError."""
        self._socket.settimeout(within)
        self._socket.recv(1 << 16)

    def close(self) -> None:
        """Give the connection back."""
        self._socket.close()


def wait_until_shown(stage: Stage, load: Load, within: float) -> None:
    """Wait until the daily JSON on disk has the last report, in its symbol and in the account."""
    path = stage.daily_file(load.day)
    timestamp = load.newest[MARKER]
    seen = 0

    def is_shown() -> bool:
        nonlocal seen
        with contextlib.suppress(OSError):
            written = path.stat().st_mtime_ns
            if written != seen:
                seen = written
                figures = json.loads(path.read_bytes())
                return all(
                    figures.get(symbol, {}).get("timestamp") == timestamp
                    for symbol in (MARKER, AGGREGATE)
                )
        return False

    wait_for(is_shown, within, "daily file with the last report")


def wait_until_dispatched(stage: Stage, load: Load, within: float) -> None:
    """Wait until the last report's figures are the newest of their slot, in Redis.

    Slots are announced in the order in which they changed first, so all others are as well.
    """
    slot = f"{NAMES.slot}{MARKER} performance"
    timestamp = load.newest[MARKER].encode()
    wait_for(
        lambda: timestamp in (stage.redis.hget(slot, "value") or b""),
        within,
        "hand-over of the last report",
    )


def daily_figures(stage: Stage, load: Load) -> Figures:
    """What the daily JSON shows."""
    figures: Figures = json.loads(stage.daily_file(load.day).read_bytes())
    return figures


def differing(expected: Figures, found: Figures) -> list[str]:
    """The symbols whose five fields are not as expected."""
    return [symbol for symbol in {*expected, *found} if expected.get(symbol) != found.get(symbol)]
