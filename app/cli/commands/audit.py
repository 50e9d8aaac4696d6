"""The audit of a day: compare ledger, daily file and Firebase, and fix what differs."""

import json
from typing import Any

import click

from app.cli.options import command, day_option, json_option
from app.cli.output import print_json, print_lines, progress
from app.domain import date_of, day_of, exact_text, to_text
from app.operations.audit import LEDGER, Auditor, Difference, Findings
from app.settings import Settings
from app.timing import now_us

PATIENCE = 6.0
"""Seconds after which a difference is real: a running bridge checks the daily file every second,
and a task is retried after 4."""


@command("""
examples:
  python -m app audit
  python -m app audit --day 2025-05-15 --fix

A bridge may run at the same time. Firebase shows only the newest day of a symbol, and is compared
where that is the audited day. --fix moves a wrong daily file aside and has it written again (by
the bridge, if one is running), and stores again what is wrong in Firebase.""")
@json_option
@day_option
@click.option("--fix", is_flag=True, help="Fix what differs, and audit again.")
@click.option(
    "--within",
    type=float,
    default=PATIENCE,
    metavar="SECONDS",
    help="How long a difference may last before it is reported.",
)
def audit(settings: Settings, as_json: bool, day: int | None, fix: bool, within: float) -> int:
    """Compare ledger, daily file and Firebase for one day, and fix what differs if asked to."""
    today = day_of(now_us())
    auditor = Auditor(settings, today if day is None else day, today)
    fixed: list[str] = []
    before: list[Difference] = []
    try:
        with progress("comparing"):
            findings = auditor.audit(within)
        if findings.differing and fix:
            before = findings.differing
            if not as_json:
                _print_differences(findings)
            fixed = auditor.fix(findings)
            if not as_json:
                print_lines(*(f"  {line}" for line in fixed))
            findings = auditor.audit(within)
    finally:
        auditor.close()
    if as_json:
        print_json(
            {
                "day": str(date_of(findings.day)),
                "equal": not findings.differing,
                "reports": findings.reports,
                "compared": findings.compared,
                "differences": [one._asdict() for one in findings.differing],
                "notes": findings.notes,
                "fixed": fixed,
                "before": [one._asdict() for one in before],
            }
        )
    else:
        _print_differences(findings)
    return 1 if findings.differing else 0


def _print_differences(findings: Findings) -> None:
    counts = ", ".join(f"{place} {count}" for place, count in findings.compared.items())
    print_lines(f"{date_of(findings.day)}: {findings.reports} reports; figures of: {counts}")
    print_lines(*map(_described, findings.differing), *(f"  {note}" for note in findings.notes))
    count = len(findings.differing)
    none = "no difference" if any(findings.compared.values()) else "nothing to compare"
    print_lines(f"{count} difference{'s' * (count > 1)}" if count else none)


def _described(one: Difference) -> str:
    place = f"  {one.place}  {one.symbol}"
    if one.place == LEDGER:
        show = to_text if one.field == "timestamp_us" else exact_text
        sums = f"report by report {show(one.found)}, summed by SQLite {show(one.expected)}"
        return f"{place}  {one.field}: {sums}"
    if one.field:
        return f"{place}  {one.field}: ledger {_figure(one.expected)}, there {_figure(one.found)}"
    if one.found is None:
        return f"{place}  is missing: ledger {_figure(one.expected)}"
    if one.expected is None:
        return f"{place}  is too much: there {_figure(one.found)}"
    return f"{place}  is no record: ledger {_figure(one.expected)}, there {_figure(one.found)}"


def _figure(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value)
