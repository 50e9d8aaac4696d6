"""Simulated bots, one per ticker: they trade a random walk and report as the real ones do.

python -m app.dev.bots [--tickers SOFI BRK.B ...] [--rate FILLS_PER_SECOND]
"""

import argparse
import logging
import math
import random
import signal
import sys
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from app.channels import PROFIT_REPORT, updates_channel
from app.errors import RetryLater, StopProgram
from app.publisher import RedisPublisher

log = logging.getLogger(__name__)

FIRST_PRICES = {
    "SOFI": 13.4,
    "AMD": 117.2,
    "F": 10.7,
    "PLTR": 128.1,
    "NVDA": 134.8,
    "BRK.B": 513.9,
    "BTC/USD": 103_450.0,
    "0700": 512.5,
}
"""The tickers that are traded unless others are named, with the price that each starts at."""

RATE = 8.0
"""Fills per second of all bots together."""

SENDER = "scale_t"

ORDERS = 500
"""After so many the ids of a bot's orders come round again, or a night would fill the memory."""

_MOST_LOTS = 8
_LOT_WORTH = 1_500.0
_RETRY_PAUSE = 0.5


class Lot(NamedTuple):
    """What one buy left: `saved` is what it cost less than planned, in all."""

    quantity: float
    plan: float
    saved: float


class Message(NamedTuple):
    """What a bot publishes, but for the envelope."""

    channel: str
    data: dict[str, Any]


class Bot:
    """Scales in and out of one ticker.

    A buy below the plan's price makes unrealized profit. A sale turns the unrealized profit of its
    lot into converted, and what it brings above the plan is realized; the total is the sum of the
    three. Amounts are floats with all their noise, as the real bots send them.

    Args:
        ticker: what it trades.
        price: that the ticker starts at.
        chance: where its luck comes from.
    """

    def __init__(self, ticker: str, price: float, chance: random.Random) -> None:
        self.ticker = ticker
        self.price = price
        self._chance = chance
        self._lots: list[Lot] = []
        self._fills = 0
        self._at = datetime.fromtimestamp(0, UTC)

    def quote(self) -> Message:
        """The next price."""
        step = math.exp(self._chance.gauss(0, 0.002))
        self.price = max(0.01, round(self.price * step, 2))
        volume = self._chance.randrange(100, 5_000)
        return self._update("price", price=self.price, volume=volume)

    def fill(self) -> list[Message]:
        """Buy or sell one lot at the price: the order, and the report of what it made."""
        sells = bool(self._lots) and self.price > self._lots[-1].plan
        if sells or len(self._lots) == _MOST_LOTS:
            lot = self._lots.pop()
            side, converted = "sell", lot.saved
            unrealized = -converted
            realized = (self.price - lot.plan) * lot.quantity
        else:
            plan = round(self.price * (1 + self._chance.uniform(0, 0.004)), 2)
            quantity = max(1.0, round(_LOT_WORTH / self.price)) if self.price < 5_000 else 0.01
            lot = Lot(quantity, plan, (plan - self.price) * quantity)
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
        report = {"symbol": self.ticker, **amounts, "timestamp": self._now()}
        return [order, Message(PROFIT_REPORT, report)]

    def _order(self, side: str, quantity: float) -> Message:
        self._fills += 1
        order = {
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.ticker}/{self._fills % ORDERS}")),
            "symbol": self.ticker,
            "side": side,
            "type": "limit",
            "qty": quantity,
            "limit_price": self.price,
            "status": "filled",
        }
        fill = {
            "event": "fill",
            "price": self.price,
            "qty": quantity,
            "position_qty": sum(lot.quantity for lot in self._lots),
            "order": order,
        }
        return self._update("order", order_data=fill)

    def _update(self, kind: str, **fields: Any) -> Message:
        data = {"type": kind, "symbol": self.ticker, **fields, "timestamp": self._now()}
        return Message(updates_channel(self.ticker), data)

    def _now(self) -> str:
        """The time, never the same twice: it is part of a report's identity."""
        self._at = max(datetime.now(UTC), self._at + timedelta(microseconds=1))
        return self._at.isoformat(timespec="microseconds")


def make_bots(tickers: Sequence[str], chance: random.Random) -> list[Bot]:
    """A bot for each ticker."""
    return [
        Bot(ticker, FIRST_PRICES.get(ticker) or round(chance.uniform(5, 300), 2), chance)
        for ticker in tickers
    ]


def trade(bots: Sequence[Bot], rate: float, publisher: RedisPublisher) -> None:
    """Let the bots trade for ever, `rate` fills per second in all; Redis may come and go."""
    chance = random.Random()  # noqa: S311 - chance, not secrets
    due = time.monotonic()
    while True:
        bot, other = chance.choice(bots), chance.choice(bots)
        for message in [other.quote(), bot.quote(), *bot.fill()]:
            _publish(message, publisher)
        due = max(due + 1 / rate, time.monotonic() - 1)
        time.sleep(max(0.0, due - time.monotonic()))


def _publish(message: Message, publisher: RedisPublisher) -> None:
    while True:
        try:
            publisher.publish(message.channel, message.data, SENDER)
        except RetryLater as error:
            log.warning("not_published reason=%s", error)
            time.sleep(_RETRY_PAUSE)
        else:
            return


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number <= 100_000:
        raise ValueError
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    """Trade until SIGTERM or Ctrl-C; the exit code."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    parser = argparse.ArgumentParser(prog="python -m app.dev.bots", description="Simulated bots.")
    parser.add_argument("--tickers", nargs="+", type=str.upper, default=list(FIRST_PRICES))
    parser.add_argument("--rate", type=_positive, default=RATE, help="fills per second in all")
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        publisher = RedisPublisher()
    except StopProgram as error:
        sys.stderr.write(f"bots: {error}\n")
        return error.exit_code
    trade(make_bots(options.tickers, random.Random()), options.rate, publisher)  # noqa: S311
    return 0


if __name__ == "__main__":
    sys.exit(main())
