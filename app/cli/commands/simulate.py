"""Simulated bots that trade a day in a given time, and the sums that must result."""

import json
import random
import time
from collections import defaultdict

import click

from app.cli import amount_table
from app.cli.options import command, json_option, positive, whole
from app.cli.output import print_json, print_lines, progress
from app.cli.safety import not_real_option, refuse_other_machine, refuse_real_database
from app.dev.bots import FIRST_PRICES, RATE, make_bots, trade
from app.dev.trading_day import moments
from app.domain import date_of, day_of, read_report, reported_symbol
from app.errors import RejectMessage, WrongUse
from app.messaging import connect, reaching
from app.operations.audit import Breakdown
from app.publisher import RedisPublisher
from app.settings import Settings
from app.shutdown import ShutdownRequested, ShutdownSignals
from app.timing import now_us

SECONDS = 60.0
MOST_FILLS = 10_000_000


def _symbol(text: str) -> str:
    try:
        return reported_symbol(text)
    except RejectMessage as error:
        raise click.BadParameter(f"{error}.") from None


@command("""
examples:
  python -m app simulate
  python -m app simulate --bots 40 --rate 200 --seconds 300 SOFI BRK.B BTC/USD
  python -m app simulate --seed 7 --json     the same fills every time

The day takes --seconds, with most trades after the opening and before the close. Prices and orders
are published beside the reports. Ctrl-C ends it early, with the sums so far. The sums are added to
what the system had before.""")
@click.argument(
    "symbols", nargs=-1, type=_symbol, help=f"What to trade (default: {' '.join(FIRST_PRICES)})."
)
# The symbols used to follow this option, and still may.
@click.option("--symbols", "marker", is_flag=True, expose_value=False, hidden=True)
@click.option("--bots", type=whole, metavar="N", help="How many bots (default: one a symbol).")
@click.option(
    "--rate",
    type=positive,
    default=RATE,
    metavar="R",
    help="Average fills per second of all bots together.",
)
@click.option(
    "--seconds", type=positive, default=SECONDS, metavar="S", help="How long the trading day takes."
)
@click.option("--seed", type=int, help="Repeat the fills of an earlier run with this seed.")
@json_option
@not_real_option
def simulate(
    settings: Settings,
    symbols: tuple[str, ...],
    bots: int | None,
    rate: float,
    seconds: float,
    seed: int | None,
    as_json: bool,
    not_real: bool,
) -> int:
    """Let simulated bots trade, and print what their reports add up to."""
    refuse_other_machine(settings.redis_url, "REDIS_URL", not_real)
    refuse_real_database(settings, not_real)
    if settings.profit_report_kind != "increment":
        raise WrongUse("simulated bots report increments: not for PROFIT_REPORT_KIND=snapshot")
    fills = max(1, round(rate * seconds))
    if fills > MOST_FILLS:
        raise WrongUse(f"{fills:,} fills are too many: at most {MOST_FILLS:,}; lower --rate")
    with reaching(settings.redis_url), connect(settings.redis_url) as client:
        client.ping()
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    chance = random.Random(seed)  # noqa: S311 - chance, not secrets
    traded = list(dict.fromkeys(symbols)) or list(FIRST_PRICES)
    traders = make_bots(traded, chance, bots or 0)
    days: defaultdict[int, Breakdown] = defaultdict(lambda: Breakdown("increment"))
    done = 0
    publisher = RedisPublisher(
        settings.redis_url, spool=settings.publisher_spool_path, account=settings.account
    )
    began = time.monotonic()
    try:
        with ShutdownSignals() as signals, progress("trading") as show:
            plan = moments(fills, seconds, chance)
            for sender, data in trade(traders, plan, publisher, chance, signals.sleep):
                message = json.dumps({"data": data, "sender": sender}).encode()
                report, _ = read_report(message, now_us())
                days[day_of(report.timestamp_us)].add(report)
                done += 1
                took = time.monotonic() - began
                show(f"{done:,} of {fills:,} fills, {done / took:,.1f}/s")
    except ShutdownRequested:
        pass
    finally:
        took = time.monotonic() - began
        publisher.close()
    sums = {str(date_of(day)): breakdown.shares() for day, breakdown in days.items()}
    per_second = done / took
    if as_json:
        print_json(
            {
                "fills": done,
                "bots": len(traders),
                "seconds": round(took, 3),
                "fills_per_second": round(per_second, 3),
                "wanted_per_second": rate,
                "seed": seed,
                "sums": {day: amount_table.as_json(rows) for day, rows in sums.items()},
            }
        )
        return 0
    print_lines(
        f"{done:,} fills by {len(traders):,} bots in {took:.1f} s: {per_second:,.1f}/s of "
        f"the wanted {rate:,g}/s; --seed {seed}"
    )
    for day, rows in sums.items():
        print_lines("", f"added to {day} (UTC):", *amount_table.table(rows))
    return 0
