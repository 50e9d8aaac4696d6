"""The names that this program shares with others on Redis."""

AGGREGATE = "aggregate"
"""The whole account, shown and stored like a symbol; no bot may report for it."""

PROFIT_REPORT = "PROFIT_REPORT"
"""Channel on which the bots publish what each fill made."""

TICKER_PERFORMANCE = "TICKER_PERFORMANCE_"
"""Prefix of the channels on which the bridge republishes the figures of the day."""

TICKER_UPDATES = "TICKER_UPDATES_"
"""Prefix of the channels on which the bots publish prices and orders."""

SENDER = "profit_bridge"
"""What this program's own messages name as their sender."""

KEY_PREFIX = "profit-bridge:"
"""Prefix of every Redis key that this program writes, but for Celery's own."""

JOURNAL = KEY_PREFIX + "journal"
"""Stream that keeps PROFIT_REPORT messages of journaling publishers until they are counted."""

OPEN_SLOTS = KEY_PREFIX + "open"
"""Sorted set of the slots that are not stored, by the time (ms) at which to look."""

FAILED_STORES = KEY_PREFIX + "failed-stores"
"""List of stores that Firebase refused for good, newest first."""


def performance_channel(symbol: str) -> str:
    """Channel that carries the performance of `symbol`, or of the account for `aggregate`."""
    return TICKER_PERFORMANCE + symbol.upper()


def updates_channel(symbol: str) -> str:
    """Channel that carries the prices and orders of `symbol`."""
    return TICKER_UPDATES + symbol.upper()
