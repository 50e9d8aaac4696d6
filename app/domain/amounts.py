"""Exact money: an amount is a whole number of millionths, rounded only when it is shown."""

import math
import re
from decimal import ROUND_HALF_EVEN, Decimal

from app.errors import RejectMessage

MILLIONTHS = 1_000_000
"""Millionths in one unit of the account's currency."""

LARGEST = 1_000_000_000
"""In units. A larger amount is a bot's mistake, and not a profit."""

_MILLIONTH = Decimal("0.000001")
_SURELY_ROUNDED = 0.25
_BLANKS = r"[ \t\n\r\f\v]*"
NUMERAL = (
    _BLANKS + r"[+-]?([0-9]{1,40}(\.[0-9]{0,40})?|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?" + _BLANKS
)
"""The pattern of an amount given as text, valid in Python and in JSON Schema."""

_NUMERAL = re.compile(NUMERAL)


def to_millionths(amount: float | str, field: str) -> int:
    """Convert to whole millionths, rounded half to even.

    A float means the shortest decimal that stands for it, which is what JSON shows.

    Args:
        amount: A number, or its text.
        field: The name of the field, for the reason of a rejection.

    Raises:
        RejectMessage: The amount is not a finite number, or is beyond LARGEST.
    """
    if type(amount) is float:
        if not -LARGEST <= amount <= LARGEST:
            raise _beyond(amount, field) if math.isfinite(amount) else not_a_number(amount, field)
        scaled = amount * MILLIONTHS
        nearest = round(scaled)
        if -_SURELY_ROUNDED < scaled - nearest < _SURELY_ROUNDED:
            return nearest
        # Up to LARGEST, the float and the product are off by less than 0.125 together. Only this
        # close to a tie could the product round differently from the decimal.
        return _decimal_to_millionths(Decimal(repr(amount)), field)
    if type(amount) is int:
        if -LARGEST <= amount <= LARGEST:
            return amount * MILLIONTHS
        raise _beyond(amount, field)
    if not _NUMERAL.fullmatch(str(amount)):
        raise not_a_number(amount, field)
    return _decimal_to_millionths(Decimal(str(amount).strip()), field)


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


def _decimal_to_millionths(amount: Decimal, field: str) -> int:
    if abs(amount) > LARGEST:
        raise _beyond(f"{amount:.6g}", field)
    return _quantized(amount)


def _quantized(amount: Decimal) -> int:
    return int(amount.quantize(_MILLIONTH, ROUND_HALF_EVEN).scaleb(6))


def from_shown(number: float) -> int:
    """Convert a number of any size that this program once showed back to millionths.

    Raises:
        TypeError: It is not a number.
        ArithmeticError: It is not finite.
    """
    if not isinstance(number, int | float):
        raise TypeError(f"not a number: {number!r}")
    return _quantized(Decimal(repr(number)))


def shown(millionths: int, decimals: int) -> float:
    """Round half to even, and return the number that JSON shows."""
    return round(millionths, decimals - 6) / MILLIONTHS
