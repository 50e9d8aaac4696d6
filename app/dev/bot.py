"""One simulated bot: what it trades, and the messages it sends, in the form of the real ones."""

import math
import random
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from app.channels import PROFIT_REPORT, TICKER_UPDATES

SENDER = "scale_t"

ORDERS = 500
"""A bot's order ids repeat after this many: otherwise a night would fill the memory."""

_MOST_LOTS = 8
_LOT_WORTH = 1_500.0
_COIN = 5_000
"""A ticker with a higher price is traded in fractions."""


class Lot(NamedTuple):
    """An open buy; `saved` is how much less than planned it cost, in all."""

    quantity: float
    plan: float
    saved: float


class Message(NamedTuple):
    """What a bot publishes, without the envelope."""

    channel: str
    data: dict[str, Any]


class Ticker:
    """A price on a random walk.

    Args:
        symbol: Name of the ticker.
        price: First price.
        chance: Source of randomness.
    """

    def __init__(self, symbol: str, price: float, chance: random.Random) -> None:
        self.symbol = symbol
        self.price = price
        self._chance = chance

    def quote(self) -> Message:
        """Move the price, and return the message that reports it."""
        step = math.exp(self._chance.gauss(0, 0.002))
        self.price = max(0.01, round(self.price * step, 2))
        return _update(self.symbol, "price", price=str(self.price), volume=None)


class Bot:
    """Scales in and out of one ticker.

    A buy below the planned price makes unrealized profit. A sale makes realized profit of what it
    earns above the plan; the unrealized profit of its lot, which was reported with the buy, is only
    named again as converted. The total is what is new. Amounts are floats with all their noise, and
    the integer 0, as the real bots send them.

    Args:
        ticker: What the bot trades.
        chance: Source of randomness.
        sender: Name of the bot.
    """

    def __init__(self, ticker: Ticker, chance: random.Random, sender: str = SENDER) -> None:
        self.ticker = ticker
        self.sender = sender
        self._chance = chance
        self._lots: list[Lot] = []
        self._fills = 0
        self._last_fill = datetime.fromtimestamp(0, UTC)

    def fill(self) -> list[Message]:
        """Buy or sell one lot; return the order, and the report of the profit it made."""
        price = self.ticker.price
        sells = bool(self._lots) and price > self._lots[-1].plan
        unrealized: float = 0
        realized: float = 0
        converted: float = 0
        if sells or len(self._lots) == _MOST_LOTS:
            lot = self._lots.pop()
            side, converted = "sell", lot.saved
            realized = (price - lot.plan) * lot.quantity
        else:
            plan = round(price * (1 + self._chance.uniform(0, 0.004)), 2)
            worth = _LOT_WORTH * self._chance.uniform(0.5, 2)
            quantity = max(1.0, round(worth / price)) if price < _COIN else round(worth / price, 4)
            lot = Lot(quantity, plan, (plan - price) * quantity)
            self._lots.append(lot)
            side, unrealized = "buy", lot.saved
        order = self._order(side, lot.quantity)
        report = {
            "realized": realized,
            "unrealized": unrealized,
            "converted": converted,
            "total": unrealized + realized,
            "symbol": self.ticker.symbol,
            "timestamp": self._now(),
        }
        return [order, Message(PROFIT_REPORT, report)]

    def _order(self, side: str, quantity: float) -> Message:
        self._fills += 1
        name = f"{self.sender}/{self.ticker.symbol}/{self._fills % ORDERS}"
        order = {
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, name)),
            "symbol": self.ticker.symbol,
            "side": side,
            "type": "limit",
            "qty": str(quantity),
            "limit_price": str(self.ticker.price),
            "filled_avg_price": None,
            "legs": None,
            "status": "filled",
        }
        fill = {
            "event": "fill",
            "price": str(self.ticker.price),
            "qty": str(quantity),
            "position_qty": str(sum(lot.quantity for lot in self._lots)),
            "order": order,
        }
        return _update(self.ticker.symbol, "order", order_data=fill)

    def _now(self) -> str:
        """Return the time, never the same twice: it is part of a report's identity."""
        self._last_fill = max(datetime.now(UTC), self._last_fill + timedelta(microseconds=1))
        return self._last_fill.isoformat(timespec="microseconds")


def _update(symbol: str, kind: str, **fields: Any) -> Message:
    """Return a message of the broker, which writes a blank for the T of a time."""
    data = {"type": kind, "timestamp": str(datetime.now(UTC)), **fields, "symbol": symbol}
    return Message(TICKER_UPDATES + symbol.upper(), data)
