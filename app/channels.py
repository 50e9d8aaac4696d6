"""Names on Redis that this program shares with other programs, or its own parts with each other."""

AGGREGATE = "aggregate"
"""The whole account. It is shown and stored like a symbol, but no bot may report for it."""

PROFIT_REPORT = "PROFIT_REPORT"
"""Channel on which the bots report the profit of each fill."""

TICKER_PERFORMANCE = "TICKER_PERFORMANCE_"
"""Prefix of the channels on which the bridge publishes the day's figures."""

TICKER_UPDATES = "TICKER_UPDATES_"
"""Prefix of the channels on which the bots publish prices and orders."""

SENDER = "profit_bridge"
"""The sender that this program's own messages name."""

KEY_PREFIX = "profit-bridge:"
"""Prefix of every Redis key that this program writes, except Celery's."""

JOURNAL = KEY_PREFIX + "journal"
"""Stream that keeps the PROFIT_REPORT messages of journaling publishers until they are counted."""

OPEN_SLOTS = KEY_PREFIX + "open"
"""Sorted set of the slots that are not stored yet, by the time (ms) at which they are overdue."""

FAILED_STORES = KEY_PREFIX + "failed-stores"
"""List of the stores that Firebase refused for good, newest first."""


def performance_channel(symbol: str) -> str:
    """Return the channel with the performance of `symbol`, or of the account for `aggregate`."""
    return TICKER_PERFORMANCE + symbol.upper()


def updates_channel(symbol: str) -> str:
    """Return the channel with the prices and orders of `symbol`."""
    return TICKER_UPDATES + symbol.upper()
