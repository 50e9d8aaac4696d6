"""One simulated bot: what it trades, and what it says of it, as the real ones do."""

import math
import random
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from app.channels import PROFIT_REPORT, updates_channel

SENDER = "scale_t"

ORDERS = 500
"""After so many the ids of a bot's orders come round again, or a night would fill the memory."""

_MOST_LOTS = 8
_LOT_WORTH = 1_500.0
_COIN = 5_000
"""What costs more is bought in parts of one."""


class Lot(NamedTuple):
    """What one buy left: `saved` is what it cost less than planned, in all."""

    quantity: float
    plan: float
    saved: float


class Message(NamedTuple):
    """What a bot publishes, but for the envelope."""

    channel: str
    data: dict[str, Any]


class Ticker:
    """One price, which walks at random.

    Args:
        symbol: its name.
        price: that it starts at.
        chance: where its luck comes from.
    """

    def __init__(self, symbol: str, price: float, chance: random.Random) -> None:
        self.symbol = symbol
        self.price = price
        self._chance = chance

    def quote(self) -> Message:
        """The next price."""
        step = math.exp(self._chance.gauss(0, 0.002))
        self.price = max(0.01, round(self.price * step, 2))
        volume = self._chance.randrange(100, 5_000)
        return _update(
            self.symbol, "price", _text(datetime.now(UTC)), price=self.price, volume=volume
        )


class Bot:
    """Scales in and out of one ticker.

    A buy below the plan's price makes unrealized profit. A sale turns the unrealized profit of its
    lot into converted, and what it brings above the plan is realized; the total is the sum of the
    three. Amounts are floats with all their noise, as the real bots send them.

    Args:
        ticker: what it trades.
        chance: where its luck comes from.
        sender: its name.
    """

    def __init__(self, ticker: Ticker, chance: random.Random, sender: str = SENDER) -> None:
        self.ticker = ticker
        self.sender = sender
        self._chance = chance
        self._lots: list[Lot] = []
        self._fills = 0
        self._at = datetime.fromtimestamp(0, UTC)

    def fill(self) -> list[Message]:
        """Buy or sell one lot at the price: the order, and the report of what it made."""
        price = self.ticker.price
        sells = bool(self._lots) and price > self._lots[-1].plan
        if sells or len(self._lots) == _MOST_LOTS:
            lot = self._lots.pop()
            side, converted = "sell", lot.saved
            unrealized = -converted
            realized = (price - lot.plan) * lot.quantity
        else:
            plan = round(price * (1 + self._chance.uniform(0, 0.004)), 2)
            worth = _LOT_WORTH * self._chance.uniform(0.5, 2)
            quantity = max(1.0, round(worth / price)) if price < _COIN else round(worth / price, 4)
            lot = Lot(quantity, plan, (plan - price) * quantity)
            self._lots.append(lot)
            side, converted = "buy", 0.0
            unrealized, realized = lot.saved, 0.0
        order = self._order(side, lot.quantity)
        amounts = {
            "total": unrealized + realized + converted,
            "unrealized": unrealized,
            "realized": realized,
            "converted": converted,
        }
        report = {"symbol": self.ticker.symbol, **amounts, "timestamp": self._now()}
        return [order, Message(PROFIT_REPORT, report)]

    def _order(self, side: str, quantity: float) -> Message:
        self._fills += 1
        name = f"{self.sender}/{self.ticker.symbol}/{self._fills % ORDERS}"
        order = {
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, name)),
            "symbol": self.ticker.symbol,
            "side": side,
            "type": "limit",
            "qty": quantity,
            "limit_price": self.ticker.price,
            "status": "filled",
        }
        fill = {
            "event": "fill",
            "price": self.ticker.price,
            "qty": quantity,
            "position_qty": sum(lot.quantity for lot in self._lots),
            "order": order,
        }
        return _update(self.ticker.symbol, "order", self._now(), order_data=fill)

    def _now(self) -> str:
        """The time, never the same twice: it is part of a report's identity."""
        self._at = max(datetime.now(UTC), self._at + timedelta(microseconds=1))
        return _text(self._at)


def _update(symbol: str, kind: str, timestamp: str, **fields: Any) -> Message:
    data = {"type": kind, "symbol": symbol, **fields, "timestamp": timestamp}
    return Message(updates_channel(symbol), data)


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")
