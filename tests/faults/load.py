"""Bots that trade while something is broken, and the verdict on what came of it."""

import itertools
import json
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from app.publisher import NotPublished, RedisPublisher
from tests.system import PATIENCE, System, report, wait_until


@dataclass
class Verdict:
    """How the system compares with what was reported, once it had time to heal."""

    sent: int
    seconds: float
    wrong: int = 0
    stale: int = 0
    differences: list[str] = field(default_factory=list)


class Trading:
    """Journaling bots that go on publishing, as a context, and remember what they reported.

    Amounts are eighths, so that sums of floats are exact; none is a loss, so that a total that
    falls is a step back.
    """

    def __init__(
        self, system: System, symbols: int = 5, rate: float = 200.0, url: str | None = None
    ) -> None:
        self._spool = system.folder / "spool"
        self._publisher = RedisPublisher(url or system.redis_server.url, spool=self._spool)
        self._symbols = symbols
        self._pause = 1 / rate
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._trade, daemon=True)
        self.sums: dict[str, float] = defaultdict(float)
        self.sent = 0

    def __enter__(self) -> "Trading":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._done.set()
        if kind is not None:
            # The test has failed: nobody is left to fix what the bots may be waiting for.
            return
        self._thread.join(2 * PATIENCE)
        assert not self._thread.is_alive(), "a bot waits for Redis for ever"
        wait_until(lambda: not any(self._spool.glob("*.spool")), "empty spool", within=60)
        self._publisher.close()

    def _trade(self) -> None:
        begin = time.monotonic()
        for number in itertools.count():
            if self._done.wait(max(0.0, begin + number * self._pause - time.monotonic())):
                return
            self.report(f"S{number % self._symbols}", (number % 37) / 8)

    def report(self, symbol: str, amount: float) -> None:
        """Report one fill, however long Redis takes."""
        data = report(symbol, amount)
        while True:
            try:
                self._publisher.publish("PROFIT_REPORT", data, sender="bot")
                break
            except NotPublished:
                if self._done.wait(0.05):
                    return
        self.sums[symbol] += amount
        self.sent += 1


def added(first: dict[str, float], second: dict[str, float]) -> dict[str, float]:
    """What two bots have reported together."""
    return {s: first.get(s, 0.0) + second.get(s, 0.0) for s in {*first, *second}}


def rounded(sums: dict[str, float]) -> dict[str, float]:
    """What the whole system should show, with the account."""
    expected = dict(sums) | {"aggregate": sum(sums.values())}
    return {symbol: round(total, 2) for symbol, total in expected.items()}


def settle(system: System, sums: dict[str, float], sent: int, within: float) -> Verdict:
    """Wait until daily JSON and Firebase say what was reported, and say how long it took."""
    begin = time.monotonic()
    expected = rounded(sums)
    while True:
        file = {symbol: record["total"] for symbol, record in system.daily_file().items()}
        firebase = totals_in_firebase(system)
        seconds = time.monotonic() - begin
        wrong = [s for s in expected if file.get(s) != expected[s]] + [
            s for s in file if s not in expected
        ]
        stale = [s for s in expected if firebase.get(s) != expected[s]]
        if not wrong and not stale:
            return Verdict(sent, seconds)
        if seconds > within:
            differences = [
                f"{s}: reported {expected.get(s)}, file {file.get(s)}, Firebase {firebase.get(s)}"
                for s in sorted({*wrong, *stale})
            ]
            return Verdict(sent, seconds, len(wrong), len(stale), differences)
        time.sleep(0.05)


def steps_back(system: System) -> list[str]:
    """Where a stored total was ever followed by a smaller one."""
    newest: dict[str, float] = {}
    found = []
    for path, total in system.firebase.writes():
        if path.endswith("/performance/total"):
            if total < newest.get(path, 0.0):
                found.append(f"{path}: {total} after {newest[path]}")
            newest[path] = total
    return found


def totals_in_firebase(system: System) -> dict[str, Any]:
    tree = system.firebase.get() or {}
    return {symbol: node.get("performance", {}).get("total") for symbol, node in tree.items()}


def announced_totals(system: System) -> dict[str, float]:
    """What is on its way to Firebase: the newest value that each symbol's slot was given."""
    found = {}
    for slot in system.redis.scan_iter("profit-bridge:newest:* performance"):
        symbol = slot.decode().removeprefix("profit-bridge:newest:").removesuffix(" performance")
        value: Any = system.redis.hget(slot, "value")
        found[symbol] = float(json.loads(value or "{}").get("total", 0))
    return found
