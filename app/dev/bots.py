"""Simulated bots, one per ticker: they trade a random walk and report as the real ones do.

python -m app.dev.bots [--tickers SOFI BRK.B ...] [--rate FILLS_PER_SECOND]
"""

import argparse
import itertools
import logging
import random
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from app.dev.bot import SENDER, Bot, Message, Ticker
from app.publisher import NotPublished, RedisPublisher, WrongPublisherSetting

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

SENDERS = (SENDER, "grid_bot", "swing_4h", "mean_rev")
"""What bots call themselves; those that trade the same ticker have different names."""

_RETRY_PAUSE = 0.5
_CATCH_UP = 1.0


def make_bots(symbols: Sequence[str], chance: random.Random, count: int = 0) -> list[Bot]:
    """Bots for each symbol in turn, `count` in all, or one each; who share one see one price."""
    tickers = [
        Ticker(symbol, FIRST_PRICES.get(symbol) or round(chance.uniform(5, 300), 2), chance)
        for symbol in symbols
    ]
    bots = []
    for number in range(count or len(tickers)):
        turn, place = divmod(number, len(tickers))
        again, name = divmod(turn, len(SENDERS))
        sender = SENDERS[name] + (f"_{again + 1}" if again else "")
        bots.append(Bot(tickers[place], chance, sender))
    return bots


def trade(
    bots: Sequence[Bot],
    moments: Iterable[float],
    publisher: RedisPublisher,
    chance: random.Random,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Let the bots trade: one fill at each of `moments`; Redis may come and go.

    Args:
        bots: who trade.
        moments: when, in seconds from now, in order. Who is late catches up a second at the most.
        publisher: to publish with.
        chance: which bot it is.
        pause: called with seconds to wait.

    Yields:
        Every report that was published: its sender and its data.
    """
    began = time.monotonic()
    for moment in moments:
        began = max(began, time.monotonic() - moment - _CATCH_UP)
        pause(max(0.0, began + moment - time.monotonic()))
        bot, other = chance.choice(bots), chance.choice(bots)
        messages = [other.ticker.quote(), bot.ticker.quote(), *bot.fill()]
        for message in messages:
            _publish(message, publisher, bot.sender, pause)
        yield bot.sender, messages[-1].data


def _publish(
    message: Message, publisher: RedisPublisher, sender: str, pause: Callable[[float], None]
) -> None:
    while True:
        try:
            publisher.publish(message.channel, message.data, sender)
        except NotPublished as error:
            log.warning("not_published reason=%s", error)
            pause(_RETRY_PAUSE)
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
    except WrongPublisherSetting as error:
        sys.stderr.write(f"bots: {error}\n")
        return 2
    chance = random.Random()  # noqa: S311 - chance, not secrets
    bots = make_bots(options.tickers, chance)
    moments = (number / options.rate for number in itertools.count())
    for _ in trade(bots, moments, publisher, chance):
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
