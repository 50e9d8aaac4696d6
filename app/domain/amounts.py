"""Exact money: an amount is a whole number of atoms, rounded only when it is shown."""

import math
import re
from decimal import ROUND_HALF_EVEN, Decimal

from app.errors import RejectMessage

PLACES = 8
"""Decimal places in which amounts are counted; an atom is 1 in the last of them."""

ATOMS: int = 10**PLACES
"""Atoms in one unit of the account's currency."""

LARGEST = 1_000_000_000
"""In units. A larger amount is a bot's mistake, and not a profit."""

_ATOM = Decimal(1).scaleb(-PLACES)
_BLANKS = r"[ \t\n\r\f\v]*"
NUMERAL = (
    _BLANKS + r"[+-]?([0-9]{1,40}(\.[0-9]{0,40})?|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?" + _BLANKS
)
"""The pattern of an amount given as text, valid in Python and in JSON Schema."""

_NUMERAL = re.compile(NUMERAL)


def to_atoms(amount: float | str, field: str) -> int:
    """Convert to whole atoms, rounded half to even.

    A float means the shortest decimal that stands for it, which is what JSON shows.

    Args:
        amount: A number, or its text.
        field: The name of the field, for the reason of a rejection.

    Raises:
        RejectMessage: The amount is not a finite number, or is beyond LARGEST.
    """
    if type(amount) is float:
        # The numbers stand here as literals, because names would make up a third of the time.
        if -1e7 <= amount <= 1e7:
            scaled = amount * 1e8
            nearest = round(scaled)
            # Up to 1e7, the float and the product are off by less than 0.23 together: only this
            # close to a tie could the product round differently from the decimal.
            if -0.25 < scaled - nearest < 0.25:
                return nearest
        elif not -LARGEST <= amount <= LARGEST:
            raise _beyond(amount, field) if math.isfinite(amount) else not_a_number(amount, field)
        return _decimal_to_atoms(Decimal(repr(amount)), field)
    if type(amount) is int:
        if -LARGEST <= amount <= LARGEST:
            return amount * ATOMS
        raise _beyond(amount, field)
    if not _NUMERAL.fullmatch(str(amount)):
        raise not_a_number(amount, field)
    return _decimal_to_atoms(Decimal(str(amount).strip()), field)


def not_a_number(amount: object, field: str) -> RejectMessage:
    """Return the rejection of an amount that is no number, or not a finite one."""
    return RejectMessage(
        "amount",
        f"{field} is not a number: {str(amount)[:40]!r}; send one such as 12.34, or its text",
    )


def _beyond(amount: object, field: str) -> RejectMessage:
    return RejectMessage(
        "amount",
        f"{field} is beyond {LARGEST:,}: {str(amount)[:40]}; send what one fill made",
    )


def _decimal_to_atoms(amount: Decimal, field: str) -> int:
    if abs(amount) > LARGEST:
        raise _beyond(f"{amount:.6g}", field)
    return _quantized(amount)


def _quantized(amount: Decimal) -> int:
    return int(amount.quantize(_ATOM, ROUND_HALF_EVEN).scaleb(PLACES))


def from_shown(number: float) -> int:
    """Convert a number of any size that this program once showed back to atoms.

    Raises:
        TypeError: It is not a number.
        ArithmeticError: It is not finite.
    """
    if not isinstance(number, int | float):
        raise TypeError(f"not a number: {number!r}")
    return _quantized(Decimal(repr(number)))


def exact_number(atoms: int) -> float | str:
    """Return an amount for a message, exactly: text where a float has no room for its decimals."""
    number = atoms / ATOMS
    return number if from_shown(number) == atoms else f"{Decimal(atoms).scaleb(-PLACES):f}"


def exact_text(atoms: int) -> str:
    """Return an amount for people, with two decimals at least and as many as it has."""
    text = f"{Decimal(atoms).scaleb(-PLACES):,.{PLACES}f}"
    always = len(text) - PLACES + 2
    return text[:always] + text[always:].rstrip("0")
