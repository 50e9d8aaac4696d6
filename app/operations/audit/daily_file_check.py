"""Checks whether the daily file shows what the ledger has, while a bridge may be running."""

import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from app.accounting import LedgerReader, path_of
from app.domain import Figures
from app.errors import StopProgram
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


def read_records(path: Path) -> tuple[dict[str, Any], str]:
    """Return what a daily file shows, and what is wrong with it as a whole, if anything.

    Raises:
        StopProgram: The file cannot be read.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any]), ""
    except FileNotFoundError:
        return {}, f"there is no {path}"
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return {}, f"{path} is not a daily file: {error}"
    except OSError as error:
        raise StopProgram(f"{path} cannot be read: {error.strerror}") from None


def check_daily_file(
    settings: Settings, reader: LedgerReader, day: int, symbol: str, figures: Figures
) -> FileCheck:
    """Compare a record of the daily file; if it differs, wait a while for a bridge to write it.

    `figures` is what the ledger had a moment ago; it may have newer ones by now.
    """
    path = path_of(settings.profit_base_path, day)
    expected: Record = msgspec.json.decode(figures.shown(settings.profit_decimals))
    deadline = time.monotonic() + FILE_WITHIN
    now: LedgerDay | None = None
    while True:
        records, problem = read_records(path)
        found = records.get(symbol)
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
            difference = f"differs from {path}: {_difference(symbol, expected, found)}"
            return FileCheck(False, problem or difference)
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
