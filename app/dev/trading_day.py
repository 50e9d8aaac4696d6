"""When the fills of a trading day happen: many after the opening and before the close. Pure."""

import random
from collections.abc import Iterator

_MIDDAY = 0.5
"""How busy noon is, as a share of the average; opening and close are twice the average."""


def moments(fills: int, seconds: float, chance: random.Random) -> Iterator[float]:
    """Yield the time of each fill, in order, in seconds from the opening.

    Args:
        fills: Number of fills in the whole day.
        seconds: Length of the day.
        chance: Source of randomness.
    """
    for number in range(fills):
        yield seconds * _part_of_day((number + chance.random()) / fills)


def share_of_fills(part: float) -> float:
    """Return the share of all fills that happen before a point in the day, both from 0 to 1."""
    return _MIDDAY * part + (1 - _MIDDAY) * ((2 * part - 1) ** 3 + 1) / 2


def _part_of_day(share: float) -> float:
    """Invert `share_of_fills` by bisection: it only grows."""
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if share_of_fills(middle) < share else (low, middle)
    return low
