"""Simulated bots: a trading day in so many seconds, and what its sums must be."""

import argparse
import json
import random
import time
from argparse import Namespace
from typing import Any

from app.cli import amount_table as exact
from app.cli.options import add_json, positive, whole
from app.cli.output import print_json, print_lines, progress
from app.cli.safety import add_flag, refuse_other_machine, refuse_real_database
from app.dev.bots import FIRST_PRICES, RATE, make_bots, trade
from app.dev.trading_day import moments
from app.domain import date_of, read_report, reported_symbol
from app.errors import RejectMessage, WrongUse
from app.messaging import connect, reaching
from app.operations.audit import Tally
from app.publisher import RedisPublisher
from app.settings import Settings
from app.shutdown import ShutdownRequested, ShutdownSignals

SECONDS = 60.0
MOST_FILLS = 10_000_000

_EPILOG = """examples:
  python -m app simulate
  python -m app simulate --bots 40 --rate 200 --seconds 300 --symbols SOFI BRK.B BTC/USD
  python -m app simulate --seed 7 --json     the same fills every time

The day takes --seconds; it is busy after the opening and before the close. Prices and orders are
published beside the reports. Ctrl-C ends it early, with the sums so far. The sums come on top of
what the system had before."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take who trades what, and how much."""
    parser.epilog = _EPILOG
    parser.add_argument("--bots", type=whole, metavar="N", help="one per symbol unless given")
    parser.add_argument(
        "--rate",
        type=positive,
        default=RATE,
        metavar="R",
        help="fills per second of all together, on average (%(default)g)",
    )
    parser.add_argument(
        "--seconds",
        type=positive,
        default=SECONDS,
        metavar="S",
        help="that the day takes (%(default)g)",
    )
    parser.add_argument(
        "--symbols",
        nargs="+",
        type=_symbol,
        default=list(FIRST_PRICES),
        metavar="SYMBOL",
        help=f"what is traded ({' '.join(FIRST_PRICES)})",
    )
    parser.add_argument("--seed", type=int, help="of chance; the same one makes the same fills")
    add_json(parser)
    add_flag(parser)


def _symbol(text: str) -> str:
    try:
        return reported_symbol(text)
    except RejectMessage as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run(settings: Settings, arguments: Namespace) -> int:
    """Let the bots trade, and print what their reports add up to.

    Raises:
        WrongUse: the target may be a real account, or takes no increments.
        RetryLater: Redis cannot be reached.
    """
    refuse_other_machine(settings.redis_url, "REDIS_URL", arguments.not_real)
    refuse_real_database(settings, arguments.not_real)
    if settings.profit_report_kind != "increment":
        raise WrongUse("simulated bots report increments: not for PROFIT_REPORT_KIND=snapshot")
    fills = max(1, round(arguments.rate * arguments.seconds))
    if fills > MOST_FILLS:
        raise WrongUse(f"{fills:,} fills are too many: at most {MOST_FILLS:,}; lower --rate")
    with reaching(settings.redis_url), connect(settings.redis_url) as client:
        client.ping()
    seed = random.SystemRandom().randrange(2**32) if arguments.seed is None else arguments.seed
    chance = random.Random(seed)  # noqa: S311 - chance, not secrets
    bots = make_bots(list(dict.fromkeys(arguments.symbols)), chance, arguments.bots or 0)
    tally = Tally("increment")
    publisher = RedisPublisher(settings.redis_url, spool=settings.publisher_spool_path)
    began = time.monotonic()
    try:
        with ShutdownSignals() as signals, progress("trading") as say:
            plan = moments(fills, arguments.seconds, chance)
            for sender, data in trade(bots, plan, publisher, chance, signals.sleep):
                message = json.dumps({"data": data, "sender": sender}).encode()
                tally.add(read_report(message, time.time_ns() // 1000)[0])
                took = time.monotonic() - began
                say(f"{tally.reports:,} of {fills:,} fills, {tally.reports / took:,.1f}/s")
    except ShutdownRequested:
        pass
    finally:
        took = time.monotonic() - began
        publisher.close()
    _print(tally, len(bots), took, arguments, seed)
    return 0


def _print(tally: Tally, bots: int, took: float, arguments: Namespace, seed: int) -> None:
    sums = {str(date_of(day)): tally.sums(day) for day in tally.days}
    rate = tally.reports / took
    if arguments.json:
        values: dict[str, Any] = {
            "fills": tally.reports,
            "bots": bots,
            "seconds": round(took, 3),
            "fills_per_second": round(rate, 3),
            "wanted_per_second": arguments.rate,
            "seed": seed,
            "sums": {day: exact.as_json(rows) for day, rows in sums.items()},
        }
        print_json(values)
        return
    print_lines(
        f"{tally.reports:,} fills by {bots:,} bots in {took:.1f} s: {rate:,.1f}/s, "
        f"{arguments.rate:,g}/s were wanted; --seed {seed}"
    )
    for day, rows in sums.items():
        print_lines("", f"added to {day} (UTC):", *exact.table(rows))
