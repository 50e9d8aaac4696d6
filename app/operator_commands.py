"""What an operator does by hand: audit a day, and see to what could not be stored.

Exit codes: 0 all is well or was done, 1 something differs, was not there or could not be done.
"""

import json
import time
import uuid
from argparse import Namespace
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from app.audit import Auditor, Findings
from app.book import Figures
from app.comparison import LEDGER, Difference
from app.errors import RejectMessage
from app.failed_stores import read_failed, remove_failed
from app.firebase_client import firebase_of_this_process
from app.messages import (
    Update,
    date_of,
    day_of,
    performance_value,
    stored_symbol,
    to_microseconds,
)
from app.newest import NewestRegister, Offer
from app.rejects import Kept, act, print_json, print_lines
from app.settings import Settings
from app.storing import store_newest


def audit(settings: Settings, arguments: Namespace) -> int:
    """Compare ledger, daily file and Firebase, and mend what differs if asked to."""
    today = day_of(time.time_ns() // 1000)
    day = today if arguments.day is None else arguments.day
    auditor = Auditor(settings, day, today)
    fixed: list[str] = []
    before: list[Difference] = []
    try:
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
        unit = "microseconds" if one.field == Figures._fields[-1] else "millionths"
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


def failed_stores(settings: Settings, arguments: Namespace) -> int:
    """List, show, store again or clear the values that Firebase refused for good."""
    url = settings.redis_url
    entries = {failed["id"]: failed for failed in read_failed(url)}

    def resend(identity: str) -> str:
        register = NewestRegister(url)
        offer = _offer_of(entries[identity])
        stored = store_newest(
            [offer],
            register=register,
            firebase=firebase_of_this_process(settings),
            task=f"resend-{uuid.uuid4().hex}",
        )
        remove_failed(url, [identity])
        if stored.refused:
            raise RejectMessage(f"kept under a new id, refused again: {stored.refused[0][1]}")
        if stored.held:
            return "left to the task that stores there"
        if not stored.written:
            return "not stored: this value is there already, or a newer one"
        if stored.written[-1].value != offer.update.value:
            return "stored, but a newer value: this one is old"
        return "stored"

    return act(
        arguments,
        Kept(
            entries,
            as_json=lambda identity: entries[identity],
            as_text=lambda identity: _failed_as_text(entries[identity]),
            resend=resend,
            clear=lambda identity: remove_failed(url, [identity]),
        ),
    )


def _offer_of(failed: Mapping[str, Any]) -> Offer:
    """The value as its task offered it; no newer than it was then, so that newest wins.

    Raises:
        RejectMessage: it can never be stored.
    """
    symbol, key, value = stored_symbol(failed["symbol"]), failed["key"], failed["value"]
    if key == "performance":
        value = performance_value(value)
    at = to_microseconds(failed["at"])
    if isinstance(value, Mapping) and isinstance(value.get("timestamp"), str):
        with suppress(RejectMessage):
            at = min(at, to_microseconds(value["timestamp"]))
    return Offer(Update(symbol, key, value), at)


def _failed_as_text(failed: Mapping[str, Any]) -> str:
    place = f"{failed['symbol']} {failed['key']}"
    return f"{failed['id']}  {failed['at']}  {place}  {failed['reason']}\n    {failed['value']}"
