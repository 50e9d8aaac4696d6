"""What was found out once, by what it was found out of."""

from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Cache(dict[K, V], Generic[K, V]):
    """What a function says of a key, asked once: `memo[key]`.

    For what is asked for every report. An `lru_cache` also keeps its keys in the order of use: with
    thousands of symbols that is four more places far apart in memory each time.

    Args:
        function: what to ask. A key that it raises an error for is asked again.
        limit: it is emptied when it holds so many, so that no sender can make it grow for ever.
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
