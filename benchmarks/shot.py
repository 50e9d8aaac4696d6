"""A volley of reports, sent at once, and the clock since."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from app.dev.processes import Process
from benchmarks.load import Load, Sender, build, chunks_of, journaled, published
from benchmarks.stage import Stage, Used
from benchmarks.watching import Announcement

WARM_UP = 20
WARM_UP_SECONDS = 1.0
"""A few reports, one by one, until every process of the worker has stored something."""


@dataclass
class Volley:
    """A load, packed to be sent; the first few reports are there to warm up."""

    load: Load
    first: list[bytes]
    chunks: list[bytes]
    count: int
    """Of reports, without the first few."""


def volley(count: int, symbols: int, *, journal: bool = False) -> Volley:
    """Build and pack a load."""
    load = build(WARM_UP + count, symbols, journaled=journal)
    packed = list(map(journaled if journal else published, load.messages))
    return Volley(load, packed[:WARM_UP], list(chunks_of(packed[WARM_UP:])), count)


class Shot:
    """A volley on its way to programs that have been warmed up."""

    def __init__(self, stage: Stage, what: Volley, programs: Mapping[str, Process]) -> None:
        self._what = what
        self._programs = programs
        self._announcement = Announcement(stage.url)
        self._sender = Sender(stage.url)
        for command in what.first:
            self._sender.send_all([command], 1)
            time.sleep(WARM_UP_SECONDS / WARM_UP)
        time.sleep(WARM_UP_SECONDS / 2)

    def fire(self) -> None:
        """Send it, and set the clock going."""
        self._used = Used(self._programs)
        self.start = time.monotonic()
        self._sender.send_all(self._what.chunks, self._what.count)
        self.sent = time.monotonic()

    def seconds(self) -> float:
        """Since the first PUBLISH."""
        return time.monotonic() - self.start

    def wait_until_published(self, within: float) -> float:
        """Wait for the message that the last report leads to; the seconds until then."""
        self._announcement.wait(within)
        return self.seconds()

    def end(self) -> tuple[float, dict[str, float]]:
        """Stop timing; return the seconds, and the CPU seconds of each program."""
        ended = self.seconds(), self._used.so_far()
        self._announcement.close()
        self._sender.close()
        return ended
