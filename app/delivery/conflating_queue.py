"""A conflating queue: slots in the order in which they changed, each with its newest value only."""

import threading
from collections.abc import Mapping
from itertools import islice

from app.domain import ORDERS, PERFORMANCE

Slot = tuple[str, str]
"""Symbol and key of a value."""


class ConflatingQueue:
    """Slots with a value that is not dispatched yet. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Nearly all values are figures. They have a queue of their own, by symbol alone, since
        # making a slot of each would cost more than putting it in.
        self._figures: dict[str, str | bytes] = {}
        self._others: dict[Slot, str | bytes] = {}
        # Each order is a slot of its own, so these are not conflated, and hold up only each other.
        self._orders: dict[Slot, str | bytes] = {}

    def __len__(self) -> int:
        return len(self._figures) + len(self._others) + len(self._orders)

    def put(self, values: Mapping[Slot, str | bytes], figures: Mapping[str, bytes]) -> None:
        """Put in new values. Each replaces an older one of its slot, in the same place.

        Args:
            values: JSON text by slot.
            figures: Performances as JSON text, by symbol.
        """
        with self._lock:
            self._figures.update(figures)
            for slot, value in values.items():
                if slot[1] == PERFORMANCE:
                    self._figures[slot[0]] = value
                elif slot[1].startswith(ORDERS):
                    self._orders[slot] = value
                else:
                    self._others[slot] = value

    def take(self, limit: int) -> dict[Slot, str | bytes]:
        """Take out up to `limit` slots that are no orders, oldest first.

        Half of them are figures if there are enough.
        """
        with self._lock:
            # So that neither queue starves the other.
            figures = max(limit // 2, limit - len(self._others))
            taken = {
                (symbol, PERFORMANCE): self._figures.pop(symbol)
                for symbol in [*islice(self._figures, figures)]
            }
            others = [*islice(self._others, limit - len(taken))]
            return taken | {slot: self._others.pop(slot) for slot in others}

    def take_orders(self, limit: int, most_bytes: int) -> dict[Slot, str | bytes]:
        """Take out up to `limit` orders with about `most_bytes` together, oldest first."""
        taken: dict[Slot, str | bytes] = {}
        size = 0
        with self._lock:
            while self._orders and len(taken) < limit and size < most_bytes:
                slot = next(iter(self._orders))
                taken[slot] = self._orders.pop(slot)
                size += len(taken[slot])
        return taken

    def put_back(self, taken: Mapping[Slot, str | bytes]) -> None:
        """Put slots back in front, unless a newer value has been put in meanwhile."""
        figures = {symbol: value for (symbol, key), value in taken.items() if key == PERFORMANCE}
        orders = {slot: value for slot, value in taken.items() if slot[1].startswith(ORDERS)}
        others = {
            slot: value
            for slot, value in taken.items()
            if slot[1] != PERFORMANCE and slot not in orders
        }
        with self._lock:
            self._figures = figures | self._figures
            self._orders = orders | self._orders
            self._others = others | self._others
