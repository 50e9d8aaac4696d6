"""The folder: the ledger, the daily file, and whether what others see equals the ledger."""

import os
import shutil
from collections import Counter
from contextlib import closing

from app.accounting import (
    FILE_NAME,
    MISSING,
    LedgerReader,
    WrongVersion,
    read_rejected,
    read_repetitions,
)
from app.channels import AGGREGATE
from app.domain import day_of
from app.operations.audit import FILE, FIREBASE, LEDGER, Auditor, Difference, shortened
from app.operations.doctor.findings import FAIL, OK, SKIPPED, WARN, Deployment, Finding

LEDGER_FIX = (
    f"stop the bridge, move {FILE_NAME}* away and start it: it starts over from the daily files"
)

_MEGABYTE = 1024 * 1024
_DISK_FULL, _DISK_LOW = 32 * _MEGABYTE, 512 * _MEGABYTE
_LEDGER_CHECK_SECONDS = 3.0
_SETTLING_SECONDS = 3.0
"""How long a difference may last that is only a figure on its way."""


def folder(deployment: Deployment) -> Finding:
    """Check that the bridge can write, and that the disk has room."""
    base = deployment.settings.profit_base_path.absolute()
    existing = next(path for path in (base, *base.parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.R_OK | os.W_OK | os.X_OK):
        fix = "give the user of the bridge write permission, or correct PROFIT_BASE_PATH"
        return Finding(FAIL, f"cannot write to {existing}", fix)
    free = shutil.disk_usage(existing).free
    found = f"{base}, {free // _MEGABYTE} MB free"
    if free < _DISK_LOW:
        fix = "free some of that disk: the bridge counts only what it can write"
        return Finding(FAIL if free < _DISK_FULL else WARN, found, fix)
    return Finding(OK, found)


def ledger(deployment: Deployment) -> Finding:
    """Check that the ledger is intact."""
    base = deployment.settings.profit_base_path
    if not (base / FILE_NAME).exists():
        fix = "only the bridge needs it: run doctor on its machine, or correct PROFIT_BASE_PATH"
        return Finding(SKIPPED, f"there is no ledger in {base}", fix)
    try:
        reader = LedgerReader(base)
    except WrongVersion as error:
        return Finding(FAIL, error.found, error.fix)
    with closing(reader):
        damage = reader.damage(_LEDGER_CHECK_SECONDS)
        if damage is None:
            return Finding(OK, "intact, as far as could be checked within a few seconds")
        if damage:
            return Finding(FAIL, damage, LEDGER_FIX)
        with reader.at_one_moment():
            return Finding(OK, f"intact, {reader.last_id()} reports so far")


def daily_file(deployment: Deployment) -> Finding:
    """Check that today's file equals the ledger."""
    return _compare(deployment, {FILE, LEDGER}, in_firebase=False)


def figures(deployment: Deployment) -> Finding:
    """Check that Firebase equals the ledger."""
    return _compare(deployment, {FIREBASE}, in_firebase=True)


def rejected(deployment: Deployment) -> Finding:
    """Check that no report was rejected."""
    entries = read_rejected(deployment.settings.profit_base_path)
    missing = entries.pop(MISSING, None)
    if missing:
        others = f"; {len(entries)} others were not counted" if entries else ""
        fix = "then clear it: python -m app rejected clear 0"
        return Finding(FAIL, missing.reason + others, fix)
    if entries:
        found = f"{len(entries)} reports were not counted"
        return Finding(WARN, found, "see python -m app rejected")
    return Finding(OK, "none")


def repetitions(deployment: Deployment) -> Finding:
    """Check that no report came again that may have been another fill."""
    senders: Counter[str] = Counter()
    for repetition in read_repetitions(deployment.settings.profit_base_path).values():
        senders[repetition.report.sender or "no sender"] += repetition.open
    if not senders:
        return Finding(OK, "none")
    by_sender = ", ".join(f"{count} from {sender}" for sender, count in senders.most_common(5))
    found = f"reports came again and were not counted again: {by_sender}"
    return Finding(WARN, found, "count or clear them: python -m app repetitions")


def _compare(deployment: Deployment, places: set[str], *, in_firebase: bool) -> Finding:
    today = day_of(int(deployment.now() * 1_000_000))
    with closing(Auditor(deployment.settings, today, today, in_firebase=in_firebase)) as auditor:
        findings = auditor.audit(_SETTLING_SECONDS)
    differences = [one for one in findings.differing if one.place in places]
    if differences:
        found = "; ".join([_summary(differences), *findings.notes])
        return Finding(FAIL, found, "correct them: python -m app audit --fix")
    count = findings.compared[FIREBASE if in_firebase else FILE]
    not_stored = findings.not_stored if in_firebase else []
    if not count:
        if not not_stored:
            return Finding(OK, "no figures today yet: there is nothing to compare")
        fix = "if they should be stored, correct TICKERS, TICKERS_FILE or STORE_AGGREGATE"
        found = f"nothing to compare: {shortened(not_stored)} are not stored"
        return Finding(WARN, found, fix)
    left_out = f"; not stored, and not compared: {shortened(not_stored)}" if not_stored else ""
    account = "the account not included" if AGGREGATE in not_stored else "the account included"
    return Finding(OK, f"equal to the ledger: {count} symbols, {account}{left_out}")


def _summary(differences: list[Difference]) -> str:
    symbols = list(dict.fromkeys(difference.symbol for difference in differences))
    return f"{len(symbols)} differ from the ledger: {shortened(symbols)}"
