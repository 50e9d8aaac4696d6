"""The audit of a day: ledger, daily JSON and Firebase held against each other, and fixed."""

import argparse
import json
import time
from argparse import Namespace
from typing import Any

from app.cli.options import add_day, add_json
from app.cli.output import print_json, print_lines, progress
from app.domain import date_of, day_of
from app.operations.audit import LEDGER, Auditor, Difference, Findings
from app.settings import Settings

PATIENCE = 6.0
"""Seconds for which a difference may be something under way: the bridge sees to a file that was
touched once a second, and a task comes back from its retry after 4."""

_EPILOG = """examples:
  python -m app audit
  python -m app audit --day 2025-05-15 --fix

A bridge may run meanwhile. Firebase shows the newest day of a symbol only, and is compared where
that is the day of the audit. With --fix a daily file that is wrong is moved aside and written again
(by a bridge that is running, if there is one), and what is wrong in Firebase is stored again."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the day, and whether to fix."""
    parser.epilog = _EPILOG
    add_json(parser)
    add_day(parser)
    parser.add_argument("--fix", action="store_true", help="fix what differs, and audit again")
    parser.add_argument(
        "--within",
        type=float,
        default=PATIENCE,
        metavar="SECONDS",
        help="how long to look again at what may be under way (%(default)s)",
    )


def run(settings: Settings, arguments: Namespace) -> int:
    """Compare ledger, daily file and Firebase, and fix what differs if asked to."""
    today = day_of(time.time_ns() // 1000)
    day = today if arguments.day is None else arguments.day
    auditor = Auditor(settings, day, today)
    fixed: list[str] = []
    before: list[Difference] = []
    try:
        with progress("comparing"):
            findings = auditor.audit(arguments.within)
        if findings.differing and arguments.fix:
            before = findings.differing
            if not arguments.json:
                _print_differences(findings)
            fixed = auditor.fix(findings)
            if not arguments.json:
                print_lines(*(f"  {line}" for line in fixed))
            findings = auditor.audit(arguments.within)
    finally:
        auditor.close()
    if arguments.json:
        print_json(
            {
                "day": str(date_of(findings.day)),
                "equal": not findings.differing,
                "reports": findings.reports,
                "looked_at": findings.looked_at,
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
    counts = ", ".join(f"{place} {count}" for place, count in findings.looked_at.items())
    print_lines(f"{date_of(findings.day)}: {findings.reports} reports; figures of: {counts}")
    print_lines(*map(_described, findings.differing), *(f"  {note}" for note in findings.notes))
    count = len(findings.differing)
    print_lines(f"{count} difference{'s' * (count > 1)}" if count else "no difference")


def _described(one: Difference) -> str:
    place = f"  {one.place}  {one.symbol}"
    if one.place == LEDGER:
        unit = "microseconds" if one.field == "timestamp_us" else "millionths"
        return f"{place}  {one.field}: rows one by one {one.found}, added up {one.expected} {unit}"
    if one.field:
        return f"{place}  {one.field}: ledger {_figure(one.expected)}, there {_figure(one.found)}"
    if one.found is None:
        return f"{place}  is missing: ledger {_figure(one.expected)}"
    if one.expected is None:
        return f"{place}  is too much: there {_figure(one.found)}"
    return f"{place}  is no record: ledger {_figure(one.expected)}, there {_figure(one.found)}"


def _figure(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value)
