"""The folder: ledger, daily file, and whether what others see equals the ledger."""

import os
import shutil

from app.accounting import FILE_NAME, LedgerReader, read_rejected
from app.domain import day_of
from app.operations.audit import FILE, FIREBASE, LEDGER, Auditor, Difference
from app.operations.doctor.findings import FAIL, OK, SKIPPED, WARN, Deployment, Finding

_MEGABYTE = 1024 * 1024
_FULL, _FILLING = 32 * _MEGABYTE, 512 * _MEGABYTE
LEDGER_FIX = (
    f"end the bridge, move {FILE_NAME}* away and start it: it begins anew from the daily files"
)
_LOOK_THROUGH = 3.0
_PATIENCE = 3.0
"""Seconds for which a difference may be something under way."""


def folder(deployment: Deployment) -> Finding:
    """Whether the bridge can write, and for how long yet."""
    base = deployment.settings.profit_base_path.absolute()
    there = next(path for path in (base, *base.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        fix = "give its user the right to write there, or correct PROFIT_BASE_PATH"
        return Finding(FAIL, f"{there} cannot be written", fix)
    free = shutil.disk_usage(there).free
    found = f"{base}, {free // _MEGABYTE} MB free"
    if free < _FILLING:
        fix = "free some of that disk: the bridge counts nothing that it cannot write"
        return Finding(FAIL if free < _FULL else WARN, found, fix)
    return Finding(OK, found)


def ledger(deployment: Deployment) -> Finding:
    """Whether the ledger is whole."""
    base = deployment.settings.profit_base_path
    if not (base / FILE_NAME).exists():
        fix = "only the bridge needs it: run doctor where it runs, or correct PROFIT_BASE_PATH"
        return Finding(SKIPPED, f"there is none in {base}", fix)
    reader = LedgerReader(base)
    try:
        damage = reader.damage(_LOOK_THROUGH)
        if damage is None:
            return Finding(OK, "whole, as far as could be looked through in a few seconds")
        if damage:
            return Finding(FAIL, damage, LEDGER_FIX)
        with reader.at_one_moment():
            return Finding(OK, f"whole, {reader.last_id()} reports so far")
    finally:
        reader.close()


def daily_file(deployment: Deployment) -> Finding:
    """Whether today's file is what the ledger has."""
    return _compared(deployment, {FILE, LEDGER}, in_firebase=False)


def figures(deployment: Deployment) -> Finding:
    """Whether Firebase shows what the ledger has."""
    return _compared(deployment, {FIREBASE}, in_firebase=True)


def rejected(deployment: Deployment) -> Finding:
    """How many messages were not counted."""
    count = len(read_rejected(deployment.settings.profit_base_path))
    if count:
        return Finding(WARN, f"{count} messages were not counted", "see python -m app rejected")
    return Finding(OK, "none")


def _compared(deployment: Deployment, places: set[str], *, in_firebase: bool) -> Finding:
    today = day_of(int(deployment.now() * 1_000_000))
    auditor = Auditor(deployment.settings, today, today, in_firebase=in_firebase)
    try:
        findings = auditor.audit(_PATIENCE)
    finally:
        auditor.close()
    differing = [one for one in findings.differing if one.place in places]
    if differing:
        notes = "".join(f"; {note}" for note in findings.notes)
        return Finding(FAIL, _said(differing) + notes, "fix it: python -m app audit --fix")
    if not findings.reports:
        return Finding(OK, "no reports today yet")
    return Finding(
        OK, f"equal to the ledger: {findings.looked_at[LEDGER]} symbols with the account"
    )


def _said(differing: list[Difference]) -> str:
    symbols = list(dict.fromkeys(one.symbol for one in differing))
    shown = ", ".join(symbols[:5]) + (", ..." if len(symbols) > 5 else "")
    return f"{len(symbols)} differ from the ledger: {shown}"
