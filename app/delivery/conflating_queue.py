"""What changed and is not handed over yet: the newest value of every slot, in line."""

import threading
from collections.abc import Mapping
from itertools import islice

from app.domain import PERFORMANCE

Slot = tuple[str, str]
"""Symbol and key of a value."""


class ConflatingQueue:
    """Slots in the order in which they changed first. Safe to share by threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # A line of their own, by symbol alone: nearly all that comes are figures, and to make a
        # slot of each would cost more than to put it in.
        self._figures: dict[str, str | bytes] = {}
        self._others: dict[Slot, str | bytes] = {}

    def __len__(self) -> int:
        return len(self._figures) + len(self._others)

    def put(self, values: Mapping[Slot, str | bytes], figures: Mapping[str, bytes]) -> None:
        """Take in new values; one that is still here gives way, and keeps its place in line.

        Args:
            values: as JSON text.
            figures: performances by symbol, as JSON text.
        """
        with self._lock:
            self._figures.update(figures)
            for slot, value in values.items():
                if slot[1] == PERFORMANCE:
                    self._figures[slot[0]] = value
                else:
                    self._others[slot] = value

    def take(self, limit: int) -> dict[Slot, str | bytes]:
        """Take out up to `limit` slots that have waited longest; half are figures, if there are."""
        with self._lock:
            # Neither line may keep the other waiting.
            figures = max(limit // 2, limit - len(self._others))
            taken = {
                (symbol, PERFORMANCE): self._figures.pop(symbol)
                for symbol in [*islice(self._figures, figures)]
            }
            others = [*islice(self._others, limit - len(taken))]
            return taken | {slot: self._others.pop(slot) for slot in others}

    def put_back(self, taken: Mapping[Slot, str | bytes]) -> None:
        """Have what was taken first in line again; what came in meanwhile is newer."""
        with self._lock:
            figures = {
                symbol: value for (symbol, key), value in taken.items() if key == PERFORMANCE
            }
            others = {slot: value for slot, value in taken.items() if slot[1] != PERFORMANCE}
            self._figures = figures | self._figures
            self._others = others | self._others
