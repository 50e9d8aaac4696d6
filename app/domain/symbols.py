"""Symbols: the one spelling of each, and which of them a bot may report for."""

import re

from app.channels import AGGREGATE
from app.domain.cache import Cache
from app.errors import RejectMessage

SYMBOL = r"[!#-\[\]-~]{1,32}"
"""Printable ASCII without the two characters that JSON escapes."""

_SYMBOL = re.compile(SYMBOL)


def stored_symbol(text: str) -> str:
    """Return the one spelling of a symbol, or of `aggregate`.

    Raises:
        RejectMessage: The text cannot be a symbol.
    """
    symbol = text.strip()
    if not _SYMBOL.fullmatch(symbol):
        raise RejectMessage(
            "symbol",
            "symbol must be 1 to 32 ASCII characters, without space, double quote or backslash: "
            f"{text[:40]!r}",
        )
    capitals = symbol.upper()
    if capitals == AGGREGATE.upper():
        return AGGREGATE
    # Return the argument itself where possible: the cache below then holds one string, not two.
    return symbol if capitals == symbol else capitals


def reported_symbol(text: str) -> str:
    """Return the one spelling of a symbol that a bot may report for.

    Raises:
        RejectMessage: The text cannot be a symbol, or is the account's reserved name.
    """
    symbol = stored_symbol(text)
    if symbol == AGGREGATE:
        raise RejectMessage("symbol", f"the symbol {text!r} is reserved for the account")
    return symbol


reported_symbols = Cache(reported_symbol)
"""`reported_symbol`, cached: every report asks for one of few symbols."""
