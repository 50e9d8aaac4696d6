"""Where a figure comes from: the reports that make it, and what they add up to."""

import argparse
import difflib
import itertools
import json
import time
from argparse import Namespace
from typing import Any, NamedTuple

import msgspec

from app.accounting import Extent, LedgerReader
from app.channels import AGGREGATE
from app.cli import amount_table as exact
from app.cli.options import add_day, add_json, whole
from app.cli.output import print_lines
from app.domain import FIELDS, ZERO, Figures, ReportKind, date_of, day_of, stored_symbol, to_text
from app.errors import RejectMessage, StopProgram, WrongUse
from app.operations.audit import Step, account, steps, verdict
from app.settings import Settings

_EPILOG = """examples:
  python -m app explain SOFI
  python -m app explain SOFI --day 2025-05-15 --last 20
  python -m app explain aggregate

A bridge may run meanwhile: what is explained is the ledger at one moment. The last figure is held
against the daily file; exit code 1 says that they differ."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take whose figure, and of which day."""
    parser.epilog = _EPILOG
    parser.add_argument("symbol", metavar="SYMBOL", help="a ticker, or aggregate for the account")
    add_json(parser)
    add_day(parser)
    parser.add_argument("--last", type=whole, metavar="N", help="print only the last N reports")


def run(settings: Settings, arguments: Namespace) -> int:
    """Print the reports behind a figure; 1 if the daily file shows another one.

    Raises:
        WrongUse: no symbol can look like that.
        StopProgram: there is no ledger, or nothing of that symbol or day in it.
    """
    try:
        symbol = stored_symbol(arguments.symbol)
    except RejectMessage as error:
        raise WrongUse(str(error)) from None
    day = day_of(time.time_ns() // 1000) if arguments.day is None else arguments.day
    reader = LedgerReader(settings.profit_base_path)
    try:
        with reader.at_one_moment():
            moment = _moment(reader, day, symbol, settings.profit_report_kind)
        explained = _print_account if symbol == AGGREGATE else _print_symbol
        figures = explained(reader, moment, arguments)
        found = verdict(settings, reader, day, symbol, figures)
    finally:
        reader.close()
    shown = msgspec.json.decode(figures.shown(settings.profit_decimals))
    if arguments.json:
        end = {"sum": exact.numbers(figures), "shown": shown, **found._asdict()}
        print_lines(json.dumps(end)[1:])
    else:
        decimals = settings.profit_decimals
        said = "  ".join(f"{name} {shown[name]:,.{decimals}f}" for name in FIELDS)
        print_lines("", f"shown as  {said}", f"          {found.said}")
    return 0 if found.equal else 1


class _Moment(NamedTuple):
    """What is explained: the reports that the ledger had at one moment."""

    symbol: str
    day: int
    kind: ReportKind
    opening_balance: dict[str, Figures]
    extent: Extent


def _moment(reader: LedgerReader, day: int, symbol: str, kind: ReportKind) -> _Moment:
    """Raise StopProgram if there is nothing to explain, and say what there is."""
    date = date_of(day)
    if day < reader.kept_from():
        raise StopProgram(f"the reports of {date} are no longer kept (LEDGER_DAYS_KEPT)")
    symbols = reader.symbols(day)
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
    return _Moment(symbol, day, reader.kind_of(day) or kind, reader.opening_balance(day), extent)


def _print_symbol(reader: LedgerReader, moment: _Moment, arguments: Namespace) -> Figures:
    """Print report after report, as they are read; the figures after the last."""
    symbol, day, kind, opening, extent = moment
    begun = figures = opening.get(symbol, ZERO)
    stepping = steps(kind, begun, reader.paged(day, extent, symbol))
    left_out = max(0, extent.reports - arguments.last) if arguments.last else 0
    for step in itertools.islice(stepping, left_out):
        figures = step.figures
    if arguments.json:
        print_lines(
            json.dumps(
                _heading(moment)
                | {
                    "opening": exact.numbers(begun) if symbol in opening else None,
                    "left_out": {"reports": left_out, "sum": exact.numbers(figures)},
                }
            )[:-1]
            + ', "reports": ['
        )
    else:
        _print_heading(moment, symbol in opening, left_out, figures)
    for step in stepping:
        figures = step.figures
        if arguments.json:
            print_lines(json.dumps(_as_json(step)) + "," * (step.number < extent.reports))
        else:
            print_lines(_as_text(step))
    if arguments.json:
        print_lines("],")
    return figures


def _heading(moment: _Moment) -> dict[str, Any]:
    return {
        "symbol": moment.symbol,
        "day": str(date_of(moment.day)),
        "kind": moment.kind,
        "count": moment.extent.reports,
    }


def _print_heading(moment: _Moment, is_imported: bool, left_out: int, figures: Figures) -> None:
    symbol, day, kind, opening, extent = moment
    print_lines(
        f"{symbol} on {date_of(day)} (UTC): {_many(extent.reports, kind)}",
        "",
        f"{'time':<15}  {'sender':<12}{exact.heading(*FIELDS, 'sum')}".rstrip(),
    )
    if is_imported:
        begun = opening[symbol]
        print_lines(_line("opening", "adopted file", begun, begun.total))
    if left_out:
        print_lines(_line("...", f"{left_out:,} earlier", figures, figures.total))


def _many(count: int, kind: ReportKind) -> str:
    what = "report" if kind == "increment" else "snapshot"
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _line(when: str, who: str, figures: Figures, total: int) -> str:
    return f"{when:<15}  {who:<12}{exact.columns(*figures.amounts, total)}".rstrip()


def _as_text(step: Step) -> str:
    report = step.report
    line = _line(
        to_text(report.timestamp_us)[11:26],
        report.sender,
        Figures(*report[3:], report.timestamp_us),
        step.figures.total,
    )
    return line if step.counts else f"{line}  older: replaces nothing"


def _as_json(step: Step) -> dict[str, Any]:
    report = step.report
    return {
        "timestamp": to_text(report.timestamp_us),
        "sender": report.sender,
        **exact.numbers(Figures(*report[3:], report.timestamp_us)),
        "counts": step.counts,
        "sum": exact.numbers(step.figures),
    }


def _print_account(reader: LedgerReader, moment: _Moment, arguments: Namespace) -> Figures:
    """Print what each symbol is of the account; the account."""
    found = account(moment.kind, moment.opening_balance, reader.paged(moment.day, moment.extent))
    rows = {share.symbol: (share.reports, share.figures) for share in found.shares}
    rest = {"adopted": found.remainder} if any(found.remainder.amounts) else {}
    if arguments.json:
        beside = {name: exact.numbers(figures) for name, figures in rest.items()}
        shares = {"symbols": exact.as_json(rows), "beside_the_symbols": beside or None}
        print_lines(json.dumps(_heading(moment) | shares)[:-1] + ",")
        return found.figures
    count = moment.extent.reports
    said = f"{_many(count, moment.kind)} of {len(rows):,} symbol{'' if len(rows) == 1 else 's'}"
    print_lines(f"{AGGREGATE} on {date_of(moment.day)} (UTC): {said}", "")
    if rest:
        # The account of an adopted file may be more than its symbols.
        rows["(beside the symbols, adopted)"] = (0, found.remainder)
    print_lines(*exact.table(rows | {"sum": (count, found.figures)}))
    return found.figures
