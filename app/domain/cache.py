"""A cache for the hot path."""

from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Cache(dict[K, V], Generic[K, V]):
    """The results of a function by argument: `cache[argument]`.

    For what every report needs. An `lru_cache` also maintains the order of use: with thousands of
    symbols, those are four more memory accesses far apart each time.

    Args:
        function: The function. Its errors are not cached.
        limit: The size at which the cache is emptied, so that no sender can make it grow for ever.
    """

    def __init__(self, function: Callable[[K], V], limit: int = 65_536) -> None:
        super().__init__()
        self._function = function
        self._limit = limit

    def __missing__(self, key: K) -> V:
        value = self._function(key)
        if len(self) >= self._limit:
            self.clear()
        self[key] = value
        return value
