"""Checks whether the daily file shows what the ledger has, while a bridge may be running."""

import json
import time
from typing import Any, NamedTuple

import msgspec

from app.accounting import LedgerReader, path_of
from app.domain import Figures
from app.operations.audit.comparison import FILE, Record, differences
from app.operations.audit.ledger_day import LedgerDay
from app.settings import Settings

FILE_WITHIN = 3.0
"""Seconds for which a daily file may be out of date: a bridge checks it once a second."""

_PAUSE = 0.1


class FileCheck(NamedTuple):
    """Whether the daily file shows the expected figures."""

    equal: bool
    message: str


def check_daily_file(
    settings: Settings, reader: LedgerReader, day: int, symbol: str, figures: Figures
) -> FileCheck:
    """Compare a record of the daily file; if it differs, wait a while for a bridge to write it.

    Args:
        settings: This process's settings.
        reader: A reader of the ledger.
        day: The day, counted from 1970-01-01.
        symbol: A symbol, or `aggregate`.
        figures: The figures that the ledger had a moment ago.
    """
    path = path_of(settings.profit_base_path, day)
    expected: Record = msgspec.json.decode(figures.shown(settings.profit_decimals))
    deadline = time.monotonic() + FILE_WITHIN
    now: LedgerDay | None = None
    while True:
        found = None
        try:
            found = msgspec.json.decode(path.read_bytes(), type=dict[str, Any]).get(symbol)
            message = f"differs from {path}: {_difference(symbol, expected, found)}"
        except OSError as error:
            message = f"{path} cannot be read: {error.strerror}"
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            message = f"{path} cannot be read: {error}"
        if found == expected:
            return FileCheck(True, f"equal to {path}")
        with reader.at_one_moment():
            if now is None:
                now = LedgerDay(settings, day, day, reader)
            else:
                now.catch_up()
        if found and (found == now.records().get(symbol) or now.had(symbol, found)):
            return FileCheck(True, f"equal to {path}, which includes newer reports by now")
        if time.monotonic() > deadline:
            return FileCheck(False, message)
        time.sleep(_PAUSE)


def _difference(symbol: str, expected: Record, found: Any) -> str:
    if found is None:
        return f"it has no {symbol}"
    return ", ".join(
        f"{one.field} {json.dumps(one.found)} there, {json.dumps(one.expected)} here"
        if one.field
        else "its entry is not a record"
        for one in differences(FILE, {symbol: expected}, {symbol: found})
    )
