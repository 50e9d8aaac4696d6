"""Where a figure comes from: the reports behind it, and what they add up to."""

import difflib
import itertools
from contextlib import closing
from typing import Any, NamedTuple

import click
import msgspec

from app.accounting import Extent, LedgerReader, Repetition
from app.channels import AGGREGATE
from app.cli import amount_table
from app.cli.options import command, day_option, json_option, whole
from app.cli.output import print_json_line, print_lines
from app.domain import (
    FIELDS,
    ZERO,
    Figures,
    ProfitReport,
    ReportKind,
    date_of,
    day_of,
    stored_symbol,
    to_text,
)
from app.errors import RejectMessage, StopProgram, WrongUse
from app.operations.audit import Breakdown, Step, check_daily_file
from app.settings import Settings
from app.timing import now_us


@command("""
examples:
  python -m app explain SOFI
  python -m app explain SOFI --day 2025-05-15 --last 20
  python -m app explain aggregate

A bridge may run at the same time: the ledger is explained as it was at one moment. The last figure
is compared with the daily file; exit code 1 means that they differ. --json prints JSON Lines: what
is explained, then a line for each report (or symbol of the account), then the figure.""")
@click.argument("symbol")
@json_option
@day_option
@click.option("--last", type=whole, metavar="N", help="Print only the last N reports.")
def explain(
    settings: Settings, symbol: str, as_json: bool, day: int | None, last: int | None
) -> int:
    """Print the reports behind the figure of SYMBOL: a ticker, or aggregate for the account."""
    try:
        symbol = stored_symbol(symbol)
    except RejectMessage as error:
        raise WrongUse(str(error)) from None
    day = day_of(now_us()) if day is None else day
    with closing(LedgerReader(settings.profit_base_path)) as reader:
        with reader.at_one_moment():
            moment = _moment(reader, day, symbol, settings.profit_report_kind)
        if symbol == AGGREGATE:
            figures = _print_account(reader, moment, as_json)
        else:
            figures = _print_symbol(reader, moment, last, as_json)
        found = check_daily_file(settings, reader, day, symbol, figures)
    shown = msgspec.json.decode(figures.shown(settings.profit_decimals))
    if as_json:
        print_json_line({"sum": amount_table.numbers(figures), "shown": shown, **found._asdict()})
    else:
        decimals = settings.profit_decimals
        amounts = "  ".join(f"{name} {shown[name]:,.{decimals}f}" for name in FIELDS)
        print_lines("", f"shown as  {amounts}", f"          {found.message}")
    return 0 if found.equal else 1


class _Moment(NamedTuple):
    """What is explained: the reports that the ledger had at one moment."""

    symbol: str
    day: int
    kind: ReportKind
    opening_balance: dict[str, Figures]
    extent: Extent
    repetitions: dict[ProfitReport, Repetition]

    @property
    def repeated(self) -> int:
        """How often reports came again and were not counted again."""
        return sum(repetition.open for repetition in self.repetitions.values())

    def as_json(self) -> dict[str, Any]:
        return {
            "symbol": self.symbol,
            "day": str(date_of(self.day)),
            "kind": self.kind,
            "count": self.extent.reports,
            "repeated": self.repeated,
        }


def _moment(reader: LedgerReader, day: int, symbol: str, kind: ReportKind) -> _Moment:
    """Find what there is to explain; raise StopProgram, with a hint, if there is nothing."""
    date = date_of(day)
    if day < reader.complete_from():
        raise StopProgram(f"the reports of {date} are no longer kept (LEDGER_DAYS_KEPT)")
    kind = reader.kind_of(day) or kind
    symbols = reader.figures(day, kind).keys() - {AGGREGATE}
    if not symbols:
        near = " and ".join(str(date_of(one)) for one in reader.nearest_days(day))
        raise StopProgram(
            f"the ledger has nothing of {date}; the nearest it has: {near}"
            if near
            else "the ledger is empty"
        )
    if symbol not in (*symbols, AGGREGATE):
        near = ", ".join(difflib.get_close_matches(symbol, sorted(symbols)))
        hint = f"did you mean {near}?" if near else f"there are {', '.join(sorted(symbols)[:8])}"
        raise StopProgram(f"the ledger has no {symbol} on {date}; {hint}")
    extent = reader.extent(day, None if symbol == AGGREGATE else symbol)
    repetitions = {
        report: repetition
        for report, repetition in reader.repetitions(day).items()
        if symbol in {report.symbol, AGGREGATE}
    }
    return _Moment(symbol, day, kind, reader.opening_balance(day), extent, repetitions)


def _print_symbol(
    reader: LedgerReader, moment: _Moment, last: int | None, as_json: bool
) -> Figures:
    """Print the reports as they are read, with the sum after each; return the last figures."""
    symbol, day, kind, opening_balances, extent, repetitions = moment
    carried_over = opening_balances.get(symbol)
    figures = carried_over or ZERO
    breakdown = Breakdown(kind, {symbol: figures})
    reports = reader.reports(day, after=extent.first - 1, up_to=extent.last, symbol=symbol)
    stepping = map(breakdown.add, reports)
    skipped = max(0, extent.reports - last) if last else 0
    for step in itertools.islice(stepping, skipped):
        figures = step.figures
    if as_json:
        before = {"reports": skipped, "sum": amount_table.numbers(figures)}
        balance = None if carried_over is None else amount_table.numbers(carried_over)
        print_json_line(moment.as_json() | {"opening_balance": balance, "left_out": before})
    else:
        print_lines(
            f"{symbol} on {date_of(day)} (UTC): {_many(extent.reports, kind)}",
            "",
            f"{'time':<15}  {'sender':<12}{amount_table.heading(*FIELDS, 'sum')}".rstrip(),
        )
        if carried_over is not None:
            print_lines(_line("opening balance", "daily file", carried_over, carried_over.total))
        if skipped:
            print_lines(_line("...", f"{skipped:,} earlier", figures, figures.total))
    for step in stepping:
        figures = step.figures
        if as_json:
            print_json_line(_as_json(step, repetitions.get(step.report)))
        else:
            print_lines(_as_text(step, repetitions.get(step.report)))
    return figures


def _many(count: int, kind: ReportKind) -> str:
    noun = "report" if kind == "increment" else "snapshot"
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _line(time_text: str, sender: str, figures: Figures, total: int) -> str:
    amounts = amount_table.columns(*figures.amounts, total)
    return f"{time_text:<15}  {amount_table.padded(sender, 12)}{amounts}".rstrip()


def _as_text(step: Step, repetition: Repetition | None) -> str:
    report = step.report
    amounts = Figures(*report.amounts, report.timestamp_us)
    line = _line(to_text(report.timestamp_us)[11:26], report.sender, amounts, step.figures.total)
    if report.fill_id:
        line += f"  id {report.fill_id}"
    elif report.key:
        line += f"  at {report.time_text[11:-6]}"
    if repetition:
        line += f"  came again {repetition.open_text}, not counted: see repetitions"
    return line if step.counts else f"{line}  older: replaces nothing"


def _as_json(step: Step, repetition: Repetition | None) -> dict[str, Any]:
    report = step.report
    return {
        "timestamp": report.time_text,
        "sender": report.sender,
        "id": report.fill_id or None,
        **amount_table.numbers(Figures(*report.amounts, report.timestamp_us)),
        "counts": step.counts,
        "repeated": repetition.open if repetition else 0,
        "sum": amount_table.numbers(step.figures),
    }


def _print_account(reader: LedgerReader, moment: _Moment, as_json: bool) -> Figures:
    """Print what each symbol contributes to the account; return the account's figures."""
    _, day, kind, opening_balance, extent, _ = moment
    breakdown = Breakdown(kind, opening_balance)
    for report in reader.reports(day, after=extent.first - 1, up_to=extent.last):
        breakdown.add(report)
    rows = breakdown.shares()
    account = rows.pop(AGGREGATE)
    _, figures = account
    # The account in an imported daily file may be more than the sum of its symbols.
    unassigned = breakdown.unassigned()
    has_unassigned = any(unassigned.amounts)
    if as_json:
        rest = amount_table.numbers(unassigned) if has_unassigned else None
        print_json_line(moment.as_json() | {"unassigned": rest})
        for symbol, row in amount_table.as_json(rows).items():
            print_json_line({"symbol": symbol, **row})
        return figures
    symbols = f"{len(rows):,} symbol{'' if len(rows) == 1 else 's'}"
    print_lines(
        f"{AGGREGATE} on {date_of(day)} (UTC): {_many(extent.reports, kind)} of {symbols}", ""
    )
    if has_unassigned:
        rows["(unassigned)"] = (0, unassigned)
    print_lines(*amount_table.table(rows | {"sum": account}))
    if moment.repeated:
        print_lines("", f"{moment.repeated:,} came again, not counted: see repetitions")
    return figures
