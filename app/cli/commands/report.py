"""One report by hand, and how it comes to be seen."""

import argparse
import json
import logging
import time
from argparse import Namespace
from datetime import UTC, datetime
from typing import Any

from app.channels import PROFIT_REPORT
from app.cli.options import add_json, positive
from app.cli.output import print_error, print_json, print_lines, progress
from app.domain import FIELDS, MILLIONTHS, ProfitReport, read_report, reported_symbol, to_millionths
from app.errors import RejectMessage, RetryLater, WrongUse
from app.operations.round_trip import RoundTrip
from app.publisher import NotPublished, Published, RedisPublisher
from app.settings import Settings, masked

WAIT_SECONDS = 30.0
SENDER = "by_hand"

_PARTS = FIELDS[1:]

_EPILOG = """examples:
  python -m app report SOFI --unrealized 28.76
  python -m app report SOFI --realized 12.5 --unrealized -3.25 --converted 3.25 --wait

An amount that is not given is 0, and the total is the sum of the other three, as bots make it.
Amounts are what one fill added, or with PROFIT_REPORT_KIND=snapshot the figure of the day so far.
What a bridge would refuse is refused here, and not sent."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the report, and whether to see it arrive."""
    parser.epilog = _EPILOG
    parser.add_argument("symbol", metavar="SYMBOL")
    for name in (*_PARTS, FIELDS[0]):
        parser.add_argument(f"--{name}", metavar="AMOUNT")
    parser.add_argument("--sender", default=SENDER, metavar="NAME", help="(%(default)s)")
    parser.add_argument("--timestamp", metavar="ISO", help="when the fill was; now unless given")
    parser.add_argument(
        "--wait",
        nargs="?",
        type=positive,
        const=WAIT_SECONDS,
        metavar="SECONDS",
        help=f"until it is counted, and visible in Firebase if that is set ({WAIT_SECONDS:.0f})",
    )
    add_json(parser)


def run(settings: Settings, arguments: Namespace) -> int:
    """Send a report; 1 if it was kept on the disk, or did not arrive in time.

    Raises:
        WrongUse: a bridge would not count it.
        RetryLater: Redis cannot be reached, and the disk did not take it either.
    """
    if arguments.wait and arguments.timestamp:
        raise WrongUse(
            "--wait knows a report by its time, which must be now: leave out --timestamp"
        )
    data = _data(arguments)
    report = _checked(data, arguments.sender)
    round_trip = RoundTrip(settings, report) if arguments.wait else None
    # What it has to say of a Redis that is away is said below, and in words for people.
    logging.getLogger("app.publisher.sender").setLevel(logging.ERROR)
    publisher = RedisPublisher(settings.redis_url, spool=settings.publisher_spool_path)
    try:
        began = time.monotonic()
        published = publisher.publish(PROFIT_REPORT, data, arguments.sender)
        told = _Told(arguments.json)
        told.add("sent", data | {"sender": arguments.sender}, _described(data, arguments.sender))
        told.add("listeners", int(published), _heard_by(published))
        told.add("spooled", published.spooled)
        has_arrived = not published.spooled
        if round_trip:
            with progress("waiting for the figures"):
                has_arrived = _see(round_trip, began, arguments.wait, told, published)
    except NotPublished as error:
        raise RetryLater(str(error)) from None
    finally:
        publisher.close()
        if round_trip:
            round_trip.close()
    told.end()
    if published.spooled and not has_arrived:
        print_error(
            f"Redis at {masked(settings.redis_url)} has not taken it: it is kept in "
            f"{settings.publisher_spool_path}, and sent when a bot or this command runs here "
            "again; do not report it again"
        )
    return 0 if has_arrived else 1


class _Told:
    """What was done, told as it happens, or as one JSON object at the end."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._values: dict[str, Any] = {}

    def add(self, name: str, value: Any, text: str = "") -> None:
        self._values[name] = value
        if text and not self._as_json:
            print_lines(f"{name:<10} {text}")

    def end(self) -> None:
        if self._as_json:
            print_json(self._values)


def _data(arguments: Namespace) -> dict[str, Any]:
    """The data of the report; raises WrongUse if an amount is none."""
    given = {name: getattr(arguments, name) for name in FIELDS}
    if all(given[name] is None for name in _PARTS):
        raise WrongUse(f"give at least one of {', '.join(f'--{name}' for name in _PARTS)}")
    try:
        exact = {name: to_millionths(given[name] or 0, name) for name in _PARTS}
        symbol, total = reported_symbol(arguments.symbol), given["total"]
        exact["total"] = sum(exact.values()) if total is None else to_millionths(total, "total")
    except RejectMessage as error:
        raise WrongUse(str(error)) from None
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    return {
        "symbol": symbol,
        **{name: exact[name] / MILLIONTHS for name in FIELDS},
        "timestamp": arguments.timestamp or now,
    }


def _checked(data: dict[str, Any], sender: str) -> ProfitReport:
    """What a bridge will make of it; raises WrongUse if it would refuse it."""
    message = json.dumps({"data": data, "sender": sender}).encode()
    try:
        return read_report(message, time.time_ns() // 1000)[0]
    except RejectMessage as error:
        raise WrongUse(f"not sent: {error}") from None


def _described(data: dict[str, Any], sender: str) -> str:
    amounts = "  ".join(f"{name} {data[name]:,}" for name in FIELDS)
    return f"{data['symbol']}  {amounts}\n{'':<10} from {sender} at {data['timestamp']}"


def _heard_by(published: Published) -> str:
    if published.spooled:
        return "not known"
    if published:
        return f"{int(published)} on {PROFIT_REPORT}: a bridge, if nobody else listens there"
    return "none: no bridge runs; the report is in the journal, and counted when one does"


def _see(
    round_trip: RoundTrip, began: float, patience: float, told: _Told, published: Published
) -> bool:
    """Tell how the report arrives; whether it did, everywhere where it should."""
    until = began + patience
    counted = round_trip.wait_until_counted(until)
    if counted is None and published.spooled:
        return False
    if counted is None:
        print_error(
            f"not counted within {patience:g} s: is a bridge running? "
            "if it is, see python -m app rejected"
        )
        return False
    figures, at = counted
    amounts = "  ".join(f"{name} {figures[name]:,.2f}" for name in FIELDS)
    value = {"seconds": round(at - began, 4), "figures": figures}
    told.add("counted", value, f"after {_milliseconds(at - began)}: now  {amounts}")
    if not round_trip.in_firebase:
        told.add(
            "visible", None, "not looked at: no database is set, or it does not store this one"
        )
        return True
    visible_at = round_trip.wait_until_visible(until)
    if visible_at is None:
        problem = round_trip.problem or "are workers running? see Flower, and failed-stores"
        print_error(f"not visible in Firebase within {patience:g} s: {problem}")
        return False
    value = {"seconds": round(visible_at - began, 4)}
    told.add("visible", value, f"in Firebase after {_milliseconds(visible_at - began)}")
    return True


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1_000:,.0f} ms"
