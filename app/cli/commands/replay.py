"""A recorded day, sent again to a development system."""

import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import click

from app.accounting import Extent, LedgerReader
from app.channels import PROFIT_REPORT
from app.cli import amount_table
from app.cli.options import command, json_option, positive, utc_day
from app.cli.output import print_error, print_json_line, print_lines, progress
from app.cli.safety import not_real_option, refuse_other_machine, refuse_same_deployment
from app.domain import DAY, FIELDS, ProfitReport, ReportKind, date_of, exact_number, to_text
from app.errors import StopProgram, WrongUse
from app.messaging import Position, connect, reaching
from app.operations.audit import Breakdown, same_amounts
from app.publisher import NotPublished, RedisPublisher
from app.settings import Settings
from app.shutdown import ShutdownRequested, ShutdownSignals
from app.timing import now_us
from app.urls import masked, redis_url

_SECOND = 1_000_000
_HOUR = 3_600 * _SECOND


@command("""
examples:
  python -m app replay --day 2025-05-15 --dry-run
  python -m app replay --day 2025-05-15 --speed 60 --to redis://127.0.0.1:6380/0

The reports keep their order, senders and amounts, and their distances in time, divided by --speed;
each gets the time at which it is sent. The ledger is only read, and its bridge may be running. The
opening balance that a daily file had is no report, and is not sent. --json prints JSON Lines: with
--dry-run a line for each report, and last the sums.""")
@click.option(
    "--day", type=utc_day, required=True, metavar="YYYY-MM-DD", help="The UTC day to replay."
)
@click.option("--to", "target", metavar="REDIS_URL", help="The Redis of the development system.")
@click.option("--speed", type=positive, default=1, metavar="X", help="How many times as fast.")
@click.option("--dry-run", is_flag=True, help="Print what would be sent, and send nothing.")
@json_option
@not_real_option
def replay(
    settings: Settings,
    day: int,
    target: str | None,
    speed: float,
    dry_run: bool,
    as_json: bool,
    not_real: bool,
) -> int:
    """Send the reports of a day, and print their sums; exit code 1 if the day is not complete."""
    if not dry_run:
        target = _checked_target(target, not_real)
    with closing(LedgerReader(settings.profit_base_path)) as reader:
        if not dry_run and target is not None:
            position = Position.of(reader.journal_position())
            refuse_same_deployment(settings, target, position.entry)
        with reader.at_one_moment():
            extent = _extent(reader, day)
            kind = reader.kind_of(day) or settings.profit_report_kind
        start = now_us()
        _refuse_midnight(extent, start, speed)
        reports = moved(reader.by_time(day, extent), start, speed)
        if dry_run or target is None:
            replayed, problem = _print_reports(reports, kind, as_json), ""
        else:
            replayed, problem = _send(target, reports, kind, extent.reports)
        recorded = Breakdown(kind)
        for report in reader.reports(day, after=extent.first - 1, up_to=extent.last):
            recorded.add(report)
    sums = replayed.shares()
    equal = not problem and same_amounts(sums, recorded.shares())
    date = str(date_of(day))
    if as_json:
        sent = 0 if dry_run else replayed.reports
        rows = amount_table.as_json(sums)
        print_json_line(
            {"day": date, "sent": sent, "sums": rows, "equal": equal, "problem": problem}
        )
        return 0 if equal else 1
    verb = "would be sent" if dry_run else "sent"
    print_lines(f"{replayed.reports:,} of {recorded.reports:,} reports of {date} {verb}", "")
    print_lines(*amount_table.table(sums), "")
    if equal:
        print_lines(f"equal to the reports of {date}")
    else:
        print_error(f"not all of {date} was sent: {problem}")
    return 0 if equal else 1


def _checked_target(target: str | None, not_real: bool) -> str:
    """Raise WrongUse if nothing may be sent to the target, RetryLater if nothing can be."""
    if target is None:
        raise WrongUse("--to is missing: give the Redis of a development system, or --dry-run")
    try:
        redis_url(target)
    except ValueError as error:
        raise WrongUse(f"--to {masked(target)}: {error}") from None
    refuse_other_machine(target, "--to", not_real)
    with reaching(target, "--to"), connect(target) as client:
        client.ping()
    return target


def _extent(reader: LedgerReader, day: int) -> Extent:
    if day < reader.complete_from():
        raise StopProgram(f"the reports of {date_of(day)} are no longer kept (LEDGER_DAYS_KEPT)")
    extent = reader.extent(day)
    if not extent.reports:
        near = " and ".join(str(date_of(one)) for one in reader.nearest_days(day))
        hint = f"; the nearest it has: {near}" if near else ""
        raise StopProgram(f"the ledger has no reports of {date_of(day)}{hint}")
    return extent


def _refuse_midnight(extent: Extent, start: int, speed: float) -> None:
    """Raise WrongUse if the replay would end on another day than it begins on."""
    span, left = extent.ends - extent.begins, DAY - start % DAY
    if span / speed >= left:
        raise WrongUse(
            f"at --speed {speed:g} it would take {span / speed / _HOUR:.1f} h and go past midnight "
            f"(UTC), which splits it over two days: give --speed {span // left + 1} or more"
        )


def moved(reports: Iterable[ProfitReport], start: int, speed: float) -> Iterator[ProfitReport]:
    """Move the reports to new times, no two of which are equal.

    A report's time is part of its identity, and the newest snapshot wins: so the order stays, and
    reports that would share a time are placed a microsecond apart.

    Args:
        reports: The reports in the order of their times.
        start: The time of the first, in microseconds since 1970 UTC.
        speed: How many times as fast as they were recorded.
    """
    first = last = None
    for report in reports:
        first = report.timestamp_us if first is None else first
        timestamp_us = start + int((report.timestamp_us - first) / speed)
        last = timestamp_us if last is None else max(timestamp_us, last + 1)
        yield report._replace(timestamp_us=last)


def data_of(report: ProfitReport) -> dict[str, object]:
    """Return what a bot publishes for this report, with exact amounts."""
    amounts = {name: exact_number(getattr(report, name)) for name in FIELDS}
    return {"symbol": report.symbol, **amounts, "timestamp": to_text(report.timestamp_us)}


def _send(
    target: str, reports: Iterable[ProfitReport], kind: ReportKind, count: int
) -> tuple[Breakdown, str]:
    """Send each report when it is due; return what was sent, and why not all of it arrived."""
    sent, problem = Breakdown(kind), ""
    # Not in the bots' spool: a bot that is started later could send what is left there.
    with tempfile.TemporaryDirectory(prefix="profit-bridge-replay-") as folder:
        publisher = RedisPublisher(target, spool=folder, account="")
        try:
            with closing(publisher), ShutdownSignals() as signals, progress("replaying") as show:
                for report in reports:
                    signals.sleep(report.timestamp_us / _SECOND - time.time())
                    publisher.publish(PROFIT_REPORT, data_of(report), report.sender or None)
                    sent.add(report)
                    show(f"{sent.reports:,} of {count:,} reports")
        except ShutdownRequested:
            problem = "stopped"
        except NotPublished as error:
            problem = str(error)
        if not problem and any(Path(folder).iterdir()):
            problem = f"--to {masked(target)} did not take the last of them"
    return sent, problem


def _print_reports(reports: Iterable[ProfitReport], kind: ReportKind, as_json: bool) -> Breakdown:
    """Print each report as it would be sent."""
    breakdown = Breakdown(kind)
    if not as_json:
        amounts = amount_table.heading(*FIELDS)
        print_lines(f"{'time':<15}  {'symbol':<9} {'sender':<12}{amounts}".rstrip())
    for report in reports:
        breakdown.add(report)
        if as_json:
            print_json_line(data_of(report) | {"sender": report.sender})
        else:
            amounts = amount_table.columns(*report.amounts)
            time_text = to_text(report.timestamp_us)[11:26]
            names = (
                f"{amount_table.padded(report.symbol, 9)} {amount_table.padded(report.sender, 12)}"
            )
            print_lines(f"{time_text}  {names}{amounts}".rstrip())
    if not as_json:
        print_lines("")
    return breakdown
