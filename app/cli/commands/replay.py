"""A recorded day, sent again into a development system."""

import argparse
import json
import time
from argparse import Namespace
from collections.abc import Iterable

from app.accounting import Extent, LedgerReader
from app.channels import AGGREGATE, PROFIT_REPORT
from app.cli import amount_table as exact
from app.cli.options import add_json, day, positive
from app.cli.output import print_error, print_lines, progress
from app.cli.replaying import data_of, moved
from app.cli.safety import add_flag, refuse_other_machine, refuse_same_deployment
from app.domain import DAY, FIELDS, ProfitReport, ReportKind, date_of, to_text
from app.errors import StopProgram, WrongUse
from app.messaging import connect, reaching
from app.operations.audit import Sums, Tally, same_amounts
from app.publisher import NotPublished, RedisPublisher
from app.settings import Settings, masked
from app.shutdown import ShutdownRequested, ShutdownSignals
from app.urls import checked

_SECOND = 1_000_000
_HOUR = 3_600 * _SECOND

_EPILOG = """examples:
  python -m app replay --day 2025-05-15 --dry-run
  python -m app replay --day 2025-05-15 --speed 60 --to redis://127.0.0.1:6380/0

The reports keep their order, senders and amounts, and what is between them in time, divided by
--speed; each is given the time at which it is sent. The ledger is only read, and a bridge may run
on it. What an adopted daily file had at the beginning of the day is no report, and is not sent."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take which day, where to, and how fast."""
    parser.epilog = _EPILOG
    parser.add_argument("--day", type=day, required=True, metavar="YYYY-MM-DD", help="the UTC day")
    parser.add_argument("--to", metavar="REDIS_URL", help="the Redis of the development system")
    parser.add_argument(
        "--speed", type=positive, default=1.0, metavar="X", help="times as fast (%(default)g)"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print what would be sent, and send nothing"
    )
    add_json(parser)
    add_flag(parser)


def run(settings: Settings, arguments: Namespace) -> int:
    """Send the reports of a day, and print what they add up to; 1 if it is not all of the day.

    Raises:
        WrongUse: the target is not given, or may be a real account.
        StopProgram: there is no ledger, or nothing of that day in it.
        RetryLater: Redis cannot be reached.
    """
    if not arguments.dry_run:
        _check_target(settings, arguments)
    reader = LedgerReader(settings.profit_base_path)
    try:
        with reader.at_one_moment():
            extent = _extent(reader, arguments.day)
            kind = reader.kind_of(arguments.day) or settings.profit_report_kind
        start = time.time_ns() // 1000
        _check_midnight(extent, start, arguments.speed)
        reports = moved(reader.by_time(arguments.day, extent), start, arguments.speed)
        if arguments.dry_run:
            replayed, problem = _print_all(reports, kind, extent, arguments), ""
        else:
            replayed, problem = _send(settings, reports, kind, extent, arguments)
        recorded = Tally(kind)
        for report in reader.paged(arguments.day, extent):
            recorded.add(report)
    finally:
        reader.close()
    return _print_end(arguments, recorded.sums(arguments.day), replayed, problem)


def _check_target(settings: Settings, arguments: Namespace) -> None:
    """Raise WrongUse if nothing may be sent to the target, RetryLater if nothing can be."""
    target = arguments.to
    if target is None:
        raise WrongUse("--to is missing: the Redis of a development system; or --dry-run")
    try:
        checked(target)
    except ValueError as error:
        raise WrongUse(f"--to {masked(target)}: {error}") from None
    refuse_other_machine(target, "--to", arguments.not_real)
    with reaching(target, "--to"), connect(target) as client:
        client.ping()
    refuse_same_deployment(settings, target)


def _extent(reader: LedgerReader, day: int) -> Extent:
    if day < reader.kept_from():
        raise StopProgram(f"the reports of {date_of(day)} are no longer kept (LEDGER_DAYS_KEPT)")
    extent = reader.extent(day)
    if not extent.reports:
        near = " and ".join(str(date_of(one)) for one in reader.nearest_days(day))
        hint = f"; the nearest it has: {near}" if near else ""
        raise StopProgram(f"the ledger has no reports of {date_of(day)}{hint}")
    return extent


def _check_midnight(extent: Extent, start: int, speed: float) -> None:
    """Raise WrongUse if the replay would end on another day than it begins on."""
    span, left = extent.ends - extent.begins, DAY - start % DAY
    if span / speed >= left:
        raise WrongUse(
            f"at --speed {speed:g} it would take {span / speed / _HOUR:.1f} h and go past midnight "
            f"(UTC), which makes two days of it: --speed {span // left + 1} or more"
        )


def _send(
    settings: Settings,
    reports: Iterable[ProfitReport],
    kind: ReportKind,
    extent: Extent,
    arguments: Namespace,
) -> tuple[Tally, str]:
    """Send each report when it is due; what was sent, and why it ended early, if it did."""
    sent = Tally(kind)
    publisher = RedisPublisher(arguments.to, spool=settings.publisher_spool_path)
    try:
        with ShutdownSignals() as signals, progress("replaying") as say:
            for report in reports:
                signals.sleep(report.timestamp_us / _SECOND - time.time())
                publisher.publish(PROFIT_REPORT, data_of(report), report.sender or None)
                sent.add(report)
                say(f"{sent.reports:,} of {extent.reports:,} reports")
    except ShutdownRequested:
        return sent, "stopped"
    except NotPublished as error:
        return sent, str(error)
    finally:
        publisher.close()
    return sent, ""


def _print_all(
    reports: Iterable[ProfitReport], kind: ReportKind, extent: Extent, arguments: Namespace
) -> Tally:
    """Print each report as it would be sent."""
    shown = Tally(kind)
    if arguments.json:
        print_lines('{"reports": [')
    else:
        print_lines(f"{'time':<15}  {'symbol':<9} {'sender':<12}{exact.heading(*FIELDS)}".rstrip())
    for report in reports:
        shown.add(report)
        if arguments.json:
            comma = "," * (shown.reports < extent.reports)
            print_lines(json.dumps(data_of(report) | {"sender": report.sender}) + comma)
        else:
            amounts = exact.columns(*report[3:])
            at = to_text(report.timestamp_us)[11:26]
            print_lines(f"{at}  {report.symbol:<9} {report.sender:<12}{amounts}".rstrip())
    print_lines("]," if arguments.json else "")
    return shown


def _print_end(arguments: Namespace, recorded: Sums, replayed: Tally, problem: str) -> int:
    date = str(date_of(arguments.day))
    day = replayed.days[0] if replayed.days else arguments.day
    sums = replayed.sums(day)
    equal = same_amounts(sums, recorded)
    if arguments.json:
        end = {
            "day": date,
            "sent": 0 if arguments.dry_run else replayed.reports,
            "sums": exact.as_json(sums),
            "equal": equal,
            "problem": problem,
        }
        print_lines(json.dumps(end)[1:] if arguments.dry_run else json.dumps(end))
        return 0 if equal else 1
    done = "would be sent" if arguments.dry_run else "sent"
    count = recorded[AGGREGATE][0]
    print_lines(f"{replayed.reports:,} of {count:,} reports of {date} {done}", "")
    print_lines(*exact.table(sums), "")
    if equal:
        print_lines(f"equal to the reports of {date}")
    else:
        print_error(f"not all of {date} was sent: {problem}")
    return 0 if equal else 1
