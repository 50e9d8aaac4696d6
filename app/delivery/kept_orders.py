"""Keeping the newest orders of each symbol: which ones Firebase has, and which give way.

Redis holds the ids of a symbol's orders by revision. If it has none, because it lost its data or
they were not needed before, they are read from Firebase: the ids, then the time of each, some at a
time. Until all times are known nothing is removed.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import structlog

from app.delivery.proposals import Write
from app.delivery.register import LatestValueRegister
from app.errors import GiveUp
from app.messaging import connect, reaching
from app.settings import Settings

log = structlog.stdlib.get_logger(__name__)

READ_AT_ONCE = 500
"""How many times are read from Firebase before a task goes on."""

REMOVED_AT_ONCE = 500
"""How many orders one write removes at most."""

_TIME_UNKNOWN, _NO_TIME = 0, 1


class OrderReader(Protocol):
    """What is needed of FirebaseClient here."""

    def order_ids(self, symbol: str) -> list[str]:
        """Return the ids of the orders that are stored."""

    def order_times(self, symbol: str, ids: Sequence[str]) -> list[int | None]:
        """Return the time of each, in microseconds since 1970."""


class KeptOrders:
    """The newest orders of each symbol. Every method raises RetryLater if Redis cannot be used.

    Args:
        settings: This process's settings.
        register: Where the slots are.
        firebase: Where the orders are.
    """

    def __init__(
        self, settings: Settings, register: LatestValueRegister, firebase: OrderReader
    ) -> None:
        self._url = settings.redis_url
        self._prefix = settings.names.orders
        self._kept = settings.orders_kept or 0
        self._register = register
        self._firebase = firebase
        self._client: Any = connect(self._url)
        self._most_removed: dict[str, int] = {}
        """How many orders of a symbol may be removed; without it, they are not known."""

    def prepare(self, symbols: Iterable[str]) -> None:
        """Find out which orders of these symbols Firebase has, before leases are taken.

        Raises:
            RetryLater: Also if Firebase cannot be reached.
        """
        self._most_removed.clear()
        for symbol in set(symbols):
            try:
                self._most_removed[symbol] = REMOVED_AT_ONCE if self._is_known(symbol) else 0
            except GiveUp as error:
                log.warning("orders_not_read", symbol=symbol, reason=error, hint="none is removed")

    def make_room(self, writes: Sequence[Write], holder: str) -> list[Write]:
        """Return the writes to make: these, less what is too old, and those that remove others."""
        made = list(writes)
        for symbol, most in self._most_removed.items():
            its_own = [one for one in made if one.update.symbol == symbol and one.update.value]
            if not its_own:
                continue
            removals = self._register.retire_orders(
                self._prefix + symbol, symbol, its_own, holder, self._kept, most
            )
            removed = {(one.update.symbol, one.update.key) for one in removals}
            # Removals first: so there are never more orders than are kept.
            made = [*removals, *(one for one in made if one.update[:2] not in removed)]
        return made

    def _is_known(self, symbol: str) -> bool:
        """Whether all orders of a symbol are in Redis, with their times; read some if not."""
        orders = self._prefix + symbol
        with reaching(self._url):
            is_listed = self._client.exists(orders)
        if not is_listed and (ids := self._firebase.order_ids(symbol)):
            with reaching(self._url):
                self._client.zadd(orders, dict.fromkeys(ids, _TIME_UNKNOWN), nx=True)
        with reaching(self._url):
            unknown = self._client.zrangebyscore(
                orders, _TIME_UNKNOWN, _TIME_UNKNOWN, start=0, num=READ_AT_ONCE + 1
            )
        ids = [one.decode() for one in unknown[:READ_AT_ONCE]]
        if ids:
            times = self._firebase.order_times(symbol, ids)
            scores = {one: time or _NO_TIME for one, time in zip(ids, times, strict=True)}
            with reaching(self._url):
                self._client.zadd(orders, scores, xx=True)
        return len(unknown) <= READ_AT_ONCE
