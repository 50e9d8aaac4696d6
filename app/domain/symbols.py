"""Symbols: the one spelling of each, and which of them a bot may report for."""

import unicodedata

from app.channels import AGGREGATE
from app.domain.cache import Cache
from app.errors import RejectMessage

LONGEST_SYMBOL = 64
"""Characters."""

_MOST_SPELT_OUT = 4 * LONGEST_SYMBOL
"""Characters of a symbol in Unicode's longest form. Beyond, composing could take seconds."""


def stored_symbol(text: str) -> str:
    """Return the one spelling of a symbol, or of `aggregate`.

    It is in capitals and in Unicode's composed form (NFC), without outer blanks. Inner blanks
    belong to it: brokers write `BRK B`.

    Raises:
        RejectMessage: The text cannot be a symbol.
    """
    symbol = text.strip()
    if len(symbol) <= _MOST_SPELT_OUT:
        # Composed first, since the capital of a letter depends on how it is written, and again,
        # since some capitals are several characters.
        symbol = _composed(_composed(symbol).upper())
    if not 1 <= len(symbol) <= LONGEST_SYMBOL:
        raise RejectMessage(
            "symbol",
            f"symbol must have 1 to {LONGEST_SYMBOL} characters, not {len(symbol)}: "
            f"{text[:LONGEST_SYMBOL]!r}",
        )
    if not symbol.isprintable():
        wrong = next(character for character in symbol if not character.isprintable())
        raise RejectMessage(
            "symbol",
            f"symbol has a character that does not print, U+{ord(wrong):04X}: leave it out of "
            f"{text[:LONGEST_SYMBOL]!r}",
        )
    if symbol == AGGREGATE.upper():
        return AGGREGATE
    # Return the argument itself where possible: the cache below then holds one string, not two.
    return text if text == symbol else symbol


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def reported_symbol(text: str) -> str:
    """Return the one spelling of a symbol that a bot may report for.

    Raises:
        RejectMessage: The text cannot be a symbol, or is the account's reserved name.
    """
    symbol = stored_symbol(text)
    if symbol == AGGREGATE:
        raise RejectMessage(
            "symbol", f"the symbol {text!r} is reserved for the account: report for a ticker"
        )
    return symbol


reported_symbols = Cache(reported_symbol)
"""`reported_symbol`, cached: every report asks for one of few symbols."""
