"""One report by hand, followed until it can be seen."""

import json
import logging
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import click

from app.accounting import LedgerReader, conflict_reason
from app.channels import PROFIT_REPORT
from app.cli.options import command, json_option, positive
from app.cli.output import print_error, print_json, print_lines, progress
from app.domain import (
    FIELDS,
    ProfitReport,
    day_of,
    exact_number,
    exact_text,
    read_report,
    reported_symbol,
    to_atoms,
)
from app.errors import RejectMessage, RetryLater, StopProgram, WrongUse
from app.operations.round_trip import RoundTrip
from app.publisher import NotPublished, Published, RedisPublisher
from app.settings import Settings
from app.timing import now_us
from app.urls import masked

WAIT_SECONDS = 30.0
SENDER = "by_hand"

_PARTS = FIELDS[1:]


@command("""
examples:
  python -m app report SOFI --unrealized 28.76
  python -m app report SOFI --realized 3.5 --converted 12.34 --total 3.5 --wait

An amount that is not given is 0; the total is the sum of the other three unless given. Amounts are
what one fill added, or with PROFIT_REPORT_KIND=snapshot the day's figure so far. A report that a
bridge would reject is not sent.""")
@click.argument("symbol")
@click.option("--unrealized", metavar="AMOUNT", help="Bought below the plan's price.")
@click.option("--realized", metavar="AMOUNT", help="Sold above the plan's price.")
@click.option("--converted", metavar="AMOUNT", help="Unrealized profit that a sale realized.")
@click.option("--total", metavar="AMOUNT", help="The sum, if it is not that of the other three.")
@click.option("--sender", default=SENDER, metavar="NAME")
@click.option("--timestamp", metavar="ISO", help="When the fill was; now unless given.")
@click.option(
    "--id", "fill_id", metavar="ID", help="The fill's own id at the broker, if it has one."
)
@click.option(
    "--wait",
    type=positive,
    is_flag=False,
    flag_value=WAIT_SECONDS,
    metavar="[SECONDS]",
    help="Wait until it is counted, and visible in Firebase if a database is set "
    f"({WAIT_SECONDS:.0f} seconds unless given).",
)
@json_option
def report(
    settings: Settings,
    symbol: str,
    sender: str,
    timestamp: str | None,
    fill_id: str | None,
    wait: float | None,
    as_json: bool,
    **amounts: str | None,
) -> int:
    """Send one report of SYMBOL; exit code 1 if it is spooled, or does not arrive in time."""
    if wait and timestamp:
        raise WrongUse(
            "--wait recognizes a report by its time, which must be now: leave out --timestamp"
        )
    data = _data(symbol, amounts, timestamp)
    if fill_id:
        data["id"] = fill_id
    to_send = _checked(data, sender)
    output = _Output(as_json)
    if (timestamp or fill_id) and _is_counted(settings, to_send):
        output.add(
            "already_counted",
            True,
            "a report of the same sender, symbol, amounts and "
            f"{'id' if fill_id else 'time'}: nothing was sent. If this is another fill, give it "
            f"{'another' if fill_id else 'an'} --id",
        )
        output.end()
        return 0
    round_trip = RoundTrip(settings, to_send) if wait else None
    # What the publisher logs about an unreachable Redis is printed below, in words for people.
    logging.getLogger("app.publisher").setLevel(logging.ERROR)
    publisher = RedisPublisher(
        settings.redis_url, spool=settings.publisher_spool_path, account=settings.account
    )
    try:
        began = time.monotonic()
        published = publisher.publish(PROFIT_REPORT, data, sender)
        output.add("sent", data | {"sender": sender}, _described(data, to_send))
        output.add("listeners", int(published), _listeners(published, settings.names.profit_report))
        output.add("spooled", published.spooled)
        has_arrived = not published.spooled
        if round_trip and wait:
            with progress("waiting for the figures"):
                has_arrived = _follow(round_trip, began, wait, output, published)
    except NotPublished as error:
        raise RetryLater(str(error)) from None
    finally:
        publisher.close()
        if round_trip:
            round_trip.close()
    output.end()
    if published.spooled and not has_arrived:
        folder = settings.publisher_spool_path.absolute() / settings.account
        print_error(
            f"Redis at {masked(settings.redis_url)} did not take the report: it is kept in "
            f"{folder}, and sent the next time a bot or this command runs here; do not report it "
            "again"
        )
    return 0 if has_arrived else 1


class _Output:
    """What was done: lines as it happens, or one JSON object at the end."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._values: dict[str, Any] = {}

    def add(self, name: str, value: Any, text: str = "") -> None:
        self._values[name] = value
        if text and not self._as_json:
            print_lines(f"{name.replace('_', ' '):<10} {text}")

    def end(self) -> None:
        if self._as_json:
            print_json(self._values)


def _data(symbol: str, given: Mapping[str, str | None], timestamp: str | None) -> dict[str, Any]:
    """Return the data of the report; raise WrongUse if the symbol or an amount cannot be used."""
    if all(given[name] is None for name in _PARTS):
        raise WrongUse(f"give at least one of {', '.join(f'--{name}' for name in _PARTS)}")
    try:
        amounts = {name: to_atoms(given[name] or 0, name) for name in _PARTS}
        symbol, total = reported_symbol(symbol), given["total"]
        amounts["total"] = sum(amounts.values()) if total is None else to_atoms(total, "total")
    except RejectMessage as error:
        raise WrongUse(str(error)) from None
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    return {
        "symbol": symbol,
        **{name: exact_number(amounts[name]) for name in FIELDS},
        "timestamp": timestamp or now,
    }


def _checked(data: dict[str, Any], sender: str) -> ProfitReport:
    """Read the report as a bridge does; raise WrongUse if a bridge would reject it."""
    message = json.dumps({"data": data, "sender": sender}).encode()
    try:
        return read_report(message, now_us())[0]
    except RejectMessage as error:
        raise WrongUse(f"not sent: {error}") from None


def _is_counted(settings: Settings, report: ProfitReport) -> bool:
    """Return whether the ledger, if it is here, has this report; raise WrongUse on a conflict."""
    try:
        with closing(LedgerReader(settings.profit_base_path)) as reader:
            recorded = reader.find(report)
            if recorded is None:
                return False
            kind = reader.kind_of(day_of(recorded.timestamp_us)) or settings.profit_report_kind
    except StopProgram:
        return False
    if recorded.amounts == report.amounts:
        return True
    raise WrongUse(f"not sent: {conflict_reason(report, recorded, kind)}")


def _described(data: dict[str, Any], report: ProfitReport) -> str:
    amounts = "  ".join(f"{name} {exact_text(getattr(report, name))}" for name in FIELDS)
    return f"{report.symbol}  {amounts}\n{'':<10} from {report.sender} at {data['timestamp']}"


def _listeners(published: Published, channel: str) -> str:
    if published.spooled:
        return "not known"
    if published:
        return f"{int(published)} on {channel}: a bridge, if nobody else listens there"
    return "none: no bridge runs; the report is in the journal, and the next one counts it"


def _follow(
    round_trip: RoundTrip, began: float, patience: float, output: _Output, published: Published
) -> bool:
    """Print the arrival of the report; return whether it arrived everywhere it should."""
    until = began + patience
    counted = round_trip.wait_until_counted(until)
    if counted is None and published.spooled:
        return False
    if counted is None:
        print_error(
            f"not counted within {patience:g} s: start a bridge; if one is running, "
            "see python -m app rejected"
        )
        return False
    figures, counted_at = counted
    amounts = "  ".join(f"{name} {figures[name]:,.{round_trip.decimals}f}" for name in FIELDS)
    value = {"seconds": round(counted_at - began, 4), "figures": figures}
    output.add("counted", value, f"after {_milliseconds(counted_at - began)}: now  {amounts}")
    if not round_trip.in_firebase:
        output.add("visible", None, "not checked: no database is set, or TICKERS leaves it out")
        return True
    visible_at = round_trip.wait_until_visible(until)
    if visible_at is None:
        problem = round_trip.problem or "are workers running? see Flower, and failed-stores"
        print_error(f"not visible in Firebase within {patience:g} s: {problem}")
        return False
    value = {"seconds": round(visible_at - began, 4)}
    output.add("visible", value, f"in Firebase after {_milliseconds(visible_at - began)}")
    return True


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1_000:,.0f} ms"
