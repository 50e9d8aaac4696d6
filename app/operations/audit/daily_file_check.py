"""Whether the daily file shows what the ledger has, also while a bridge writes on."""

import json
import time
from typing import Any, NamedTuple

import msgspec

from app.accounting import LedgerReader, path_of
from app.domain import Figures
from app.operations.audit.comparison import FILE, Record, differences
from app.operations.audit.rebuilt_day import LedgerDay
from app.settings import Settings

FILE_WITHIN = 3.0
"""Seconds for which a daily file may be behind: a bridge looks at it once a second."""

_PAUSE = 0.1


class Verdict(NamedTuple):
    """Whether the daily file shows what was explained."""

    equal: bool
    said: str


def verdict(
    settings: Settings, reader: LedgerReader, day: int, symbol: str, figures: Figures
) -> Verdict:
    """Look at the daily file, for a while if it is another: a bridge may be about to write it.

    Args:
        settings: of this process.
        reader: of the ledger.
        day: counted from 1970-01-01.
        symbol: whose record it is, or `aggregate`.
        figures: that the ledger had a moment ago.
    """
    path = path_of(settings.profit_base_path, day)
    right: Record = msgspec.json.decode(figures.shown(settings.profit_decimals))
    give_up_at = time.monotonic() + FILE_WITHIN
    now: LedgerDay | None = None
    while True:
        try:
            records = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            there, found = f"{path} cannot be read: {reason}", None
        else:
            found = records.get(symbol)
            there = f"differs from {path}: {_difference(symbol, right, found)}"
        if found == right:
            return Verdict(True, f"equal to {path}")
        with reader.at_one_moment():
            if now is None:
                now = LedgerDay(settings, day, day, reader)
            else:
                now.catch_up()
        if found and (found == now.records().get(symbol) or now.had(symbol, found)):
            return Verdict(True, f"equal to {path}, which has newer reports as well by now")
        if time.monotonic() > give_up_at:
            return Verdict(False, there)
        time.sleep(_PAUSE)


def _difference(symbol: str, right: Record, found: Any) -> str:
    if found is None:
        return f"it has no {symbol}"
    return ", ".join(
        f"{one.field} {json.dumps(one.found)} there, {json.dumps(one.expected)} here"
        if one.field
        else "its record is none"
        for one in differences(FILE, {symbol: right}, {symbol: found})
    )
