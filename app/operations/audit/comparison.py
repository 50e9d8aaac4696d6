"""Compares the figures of a day as the ledger, the daily file and Firebase have them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from app.domain import FIELDS, ZERO, DayTotals, Figures

FILE = "daily file"
FIREBASE = "Firebase"
LEDGER = "ledger"

_FIELDS = (*FIELDS, "timestamp")

Record = Mapping[str, Any]
"""The five fields of a symbol, as other programs read them."""


class Difference(NamedTuple):
    """Something that does not match the reports in the ledger."""

    place: str
    """FILE, FIREBASE, or LEDGER if the two ways to add up its reports disagree."""
    symbol: str
    field: str
    """One of the five fields, an unknown field, or empty if the whole record differs."""
    expected: Any
    """None: there should be nothing."""
    found: Any
    """None: there is nothing."""


def differences(
    place: str, expected: Mapping[str, Record], found: Mapping[str, Any]
) -> list[Difference]:
    """Return what differs in `found` from `expected`, symbol by symbol and field by field."""
    differing = []
    for symbol in dict.fromkeys((*expected, *found)):
        right, actual = expected.get(symbol), found.get(symbol)
        if isinstance(right, Mapping) and isinstance(actual, Mapping):
            differing += [
                Difference(place, symbol, name, right.get(name), actual.get(name))
                for name in dict.fromkeys((*_FIELDS, *actual))
                if not _equal(right.get(name), actual.get(name))
            ]
        elif right != actual:
            differing.append(Difference(place, symbol, "", right, actual))
    return differing


def compare(
    ledger: Mapping[str, Record],
    file: Mapping[str, Any],
    firebase: Mapping[str, Any],
    stored: Collection[str],
) -> list[Difference]:
    """Return what differs in the daily file and in Firebase from the ledger.

    Args:
        ledger: The day's records of every symbol and the account.
        file: What the daily file shows.
        firebase: What Firebase shows of this day.
        stored: The symbols for which Firebase must show this day.
    """
    in_firebase = {symbol: record for symbol, record in ledger.items() if symbol in stored}
    return differences(FILE, ledger, file) + differences(FIREBASE, in_firebase, firebase)


def contradictions(summed: Mapping[str, Figures], totals: DayTotals) -> list[Difference]:
    """Return where the two ways to add up the ledger's reports disagree.

    Args:
        summed: The day's figures as summed by SQLite.
        totals: The day's running totals, with every report applied one by one.
    """
    running = dict(totals.items())
    return [
        Difference(LEDGER, symbol, name, expected, found)
        for symbol in dict.fromkeys((*running, *summed))
        for name, expected, found in zip(
            Figures.__struct_fields__,
            summed.get(symbol, ZERO),
            running.get(symbol, ZERO),
            strict=True,
        )
        if expected != found
    ]


def shortened(symbols: Sequence[str]) -> str:
    """Return the first of these symbols as text, with dots for the others."""
    return ", ".join([*symbols[:5], "..."] if len(symbols) > 5 else symbols)


def _equal(one: Any, other: Any) -> bool:
    # In Python True equals 1, but it is not an amount.
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)
