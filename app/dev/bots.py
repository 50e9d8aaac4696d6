"""Simulated bots, one per ticker, that trade a random walk and report like the real ones.

python -m app.dev.bots [--tickers SOFI BRK.B ...] [--rate FILLS_PER_SECOND]
"""

import argparse
import itertools
import logging
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from app.dev.bot import SENDER, Bot, Message, Ticker
from app.publisher import NotPublished, RedisPublisher, WrongPublisherSetting
from app.shutdown import ShutdownRequested, ShutdownSignals

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
"""The tickers traded by default, each with its first price."""

RATE = 8.0
"""Fills per second of all bots together."""

SENDERS = (SENDER, "grid_bot", "swing_4h", "mean_rev")
"""Names of bots; no two that trade the same ticker share one."""

_RETRY_PAUSE = 0.5
_CATCH_UP = 1.0


def make_bots(symbols: Sequence[str], chance: random.Random, count: int = 0) -> list[Bot]:
    """Return `count` bots over the symbols in turn, by default one each.

    Bots that trade the same symbol share its price.
    """
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
    """Let the bots trade, one fill at each of `moments`; Redis may come and go.

    Args:
        bots: The bots that trade.
        moments: Times of the fills in seconds from now, in order. After a delay, at most a second
            of fills is caught up at once.
        publisher: Publishes their messages.
        chance: Chooses the bot.
        pause: Called with the seconds to wait.

    Yields:
        The sender and the data of every report that was published.
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
    """Trade until SIGTERM or Ctrl-C; return the exit code."""
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
    try:
        with ShutdownSignals() as signals:
            for _ in trade(bots, moments, publisher, chance, signals.sleep):
                signals.check()
    except ShutdownRequested:
        publisher.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
