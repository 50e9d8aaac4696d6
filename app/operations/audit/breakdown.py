"""Where a figure comes from: its reports one by one, with the sum after each. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from app.domain import DayTotals, Figures, ProfitReport, ReportKind


class Step(NamedTuple):
    """One report, and the figures of its symbol after it."""

    number: int
    """From 1, in the order of acceptance."""
    report: ProfitReport
    figures: Figures
    counts: bool
    """False for a snapshot that is older than the one before it: it changes nothing."""


def steps(kind: ReportKind, opening: Figures, reports: Iterable[ProfitReport]) -> Iterator[Step]:
    """Count the reports of one symbol one by one.

    Args:
        kind: what a report of the day means.
        opening: what an adopted file has of the symbol and no report does.
        reports: of one symbol, in the order of acceptance.
    """
    totals: DayTotals | None = None
    for number, report in enumerate(reports, 1):
        if totals is None:
            totals = DayTotals(kind, {report.symbol: opening})
        before = totals.symbols[report.symbol]
        figures = totals.apply(report)
        yield Step(
            number,
            report,
            figures,
            kind == "increment" or report.timestamp_us >= before.timestamp_us,
        )


class Share(NamedTuple):
    """What one symbol is of the account."""

    symbol: str
    reports: int
    figures: Figures


class Account(NamedTuple):
    """The account as what its symbols add up to."""

    shares: list[Share]
    """By symbol."""
    remainder: Figures
    """What the account of an adopted file was more than the symbols in it."""
    figures: Figures


def account(
    kind: ReportKind, opening: Mapping[str, Figures], reports: Iterable[ProfitReport]
) -> Account:
    """Count all reports of a day, and say which symbol made what of it.

    Args:
        kind: what a report of the day means.
        opening: what an adopted file has and no report does, with the account as `aggregate`.
        reports: in the order of acceptance.
    """
    totals = DayTotals(kind, dict(opening))
    counts: dict[str, int] = dict.fromkeys(totals.symbols, 0)
    for report in reports:
        totals.apply(report)
        counts[report.symbol] = counts.get(report.symbol, 0) + 1
    shares = [Share(symbol, counts[symbol], totals.symbols[symbol]) for symbol in sorted(counts)]
    remainder = totals.account
    for share in shares:
        remainder = remainder.minus(share.figures)
    return Account(shares, msgspec.structs.replace(remainder, timestamp_us=0), totals.account)
