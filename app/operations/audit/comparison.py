"""Comparing the figures of a day, as three places have them. Pure."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from app.channels import AGGREGATE
from app.domain import FIELDS, ZERO, DayTotals, Figures, ReportKind, add_up

FILE = "daily file"
FIREBASE = "Firebase"
LEDGER = "ledger"

_FIELDS = (*FIELDS, "timestamp")

Record = Mapping[str, Any]
"""The five fields of a symbol, as other programs read them."""


class Difference(NamedTuple):
    """Something that is not as the ledger's rows have it."""

    place: str
    """FILE, FIREBASE, or LEDGER where its rows contradict each other's sums."""
    symbol: str
    field: str
    """One of the five fields, another one that is too much, or empty: it is about all of them."""
    expected: Any
    """None: there should be nothing."""
    found: Any
    """None: there is nothing."""


def differences(
    place: str, expected: Mapping[str, Record], found: Mapping[str, Any]
) -> list[Difference]:
    """What differs in `found` from what is `expected`, symbol by symbol and figure by figure."""
    differing = []
    for symbol in dict.fromkeys((*expected, *found)):
        right, there = expected.get(symbol), found.get(symbol)
        if isinstance(right, Mapping) and isinstance(there, Mapping):
            differing += [
                Difference(place, symbol, name, right.get(name), there.get(name))
                for name in dict.fromkeys((*_FIELDS, *there))
                if not _equal(right.get(name), there.get(name))
            ]
        elif right != there:
            differing.append(Difference(place, symbol, "", right, there))
    return differing


def compare(
    ledger: Mapping[str, Record],
    file: Mapping[str, Any],
    firebase: Mapping[str, Any],
    stored: Collection[str],
) -> list[Difference]:
    """What differs in the daily file and in Firebase from the ledger.

    Args:
        ledger: the day's figures of every symbol and the account.
        file: what the daily file shows.
        firebase: what Firebase shows of this day.
        stored: the symbols for which Firebase must show this day.
    """
    in_firebase = {symbol: record for symbol, record in ledger.items() if symbol in stored}
    return differences(FILE, ledger, file) + differences(FIREBASE, in_firebase, firebase)


def contradictions(
    kind: ReportKind, opening: Mapping[str, Figures], sums: Mapping[str, Figures], totals: DayTotals
) -> list[Difference]:
    """Where the account is not the sum of its symbols, or the rows add up to something else.

    Args:
        kind: what a report of the day means.
        opening: what an adopted file began with; its account may be more than its symbols.
        sums: what the rows of each symbol make without the opening, made in another way.
        totals: of which every row was counted, one by one.
    """
    symbols = {symbol: figures for symbol, figures in opening.items() if symbol != AGGREGATE}
    begun = add_up(symbols.values())
    remainder = opening.get(AGGREGATE, begun).minus(begun)
    for symbol, figures in sums.items():
        known = symbols.get(symbol, ZERO)
        if kind == "increment":
            symbols[symbol] = known.plus(figures)
        else:
            symbols[symbol] = known if known.timestamp_us > figures.timestamp_us else figures
    account = add_up(symbols.values()).plus(remainder)
    return [
        Difference(LEDGER, symbol, name, added, one_by_one)
        for symbol, figures in totals.items()
        for name, one_by_one, added in zip(
            Figures.__struct_fields__, figures, symbols.get(symbol, account), strict=True
        )
        if one_by_one != added
    ]


def _equal(one: Any, other: Any) -> bool:
    # True is no figure, though Python says that it is 1.
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)
