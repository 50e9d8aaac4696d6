"""Names on Redis that this program shares with other programs, or its own parts with each other."""

AGGREGATE = "aggregate"
"""The whole account. It is shown and stored like a symbol, but no bot may report for it."""

PROFIT_REPORT = "PROFIT_REPORT"
TICKER_PERFORMANCE = "TICKER_PERFORMANCE_"
TICKER_UPDATES = "TICKER_UPDATES_"
"""The channel of profit reports, and the prefixes of the tickers' channels, as a bot names them to
RedisPublisher. What they are called on Redis depends on the account: ask RedisNames."""

SENDER = "profit_bridge"
"""The sender that this program's own messages name."""

QUEUE = "profit-bridge"
"""The queue, as Celery names it: RedisNames.queue without the account."""


class RedisNames:
    """Every name that one deployment uses on Redis.

    With an account all of them begin with it. Database numbers do not keep deployments on one
    Redis apart, because pub/sub ignores them.

    Args:
        account: The name of the account; empty for the deployment whose names have no prefix.
    """

    def __init__(self, account: str) -> None:
        self.prefix = f"{account}:" if account else ""
        """What all names begin with. Celery's own get it from `global_keyprefix`."""
        self.profit_report = self.prefix + PROFIT_REPORT
        """Channel on which the bots report the profit of each fill."""
        self.ticker_performance = self.prefix + TICKER_PERFORMANCE
        """Prefix of the channels on which the bridge publishes the day's figures."""
        self.ticker_updates = self.prefix + TICKER_UPDATES
        """Prefix of the channels on which the bots publish prices and orders."""
        self.queue = self.prefix + QUEUE
        """List with the tasks that no worker has taken yet."""
        ours = f"{self.queue}:"
        self.journal = ours + "journal"
        """Stream that keeps the reports of journaling publishers until they are counted."""
        self.bridges = ours + "bridge:"
        """Prefix of the channels by which bridges find each other: see `app.messaging.presence`."""
        self.open_slots = ours + "open"
        """Sorted set of the slots that are not stored yet, by the time (ms) they are overdue."""
        self.open_orders = ours + "open-orders"
        """The same for orders, so that they wait for each other only."""
        self.orders = ours + "orders:"
        """Prefix of the sorted sets with the ids of a symbol's orders, by revision."""
        self.revision = ours + "revision"
        """The highest revision so far."""
        self.slot = ours + "newest:"
        """Prefix of the hashes with the newest value of each slot."""
        self.failed_stores = ours + "failed-stores"
        """List of the stores that Firebase refused, of former versions."""
        self.refused_stores = ours + "refused-stores"
        """Hash of the stores that Firebase refuses: an entry for each slot."""
        self.rejected_updates = ours + "rejected-updates"
        """List of the prices and orders that cannot be stored, newest first."""
        self.write_rate_limiter = ours + "write-rate-limiter"
        """State of the write rate limiter."""
        self.freshness = ours + "freshness"
        """Hash of the freshness histogram: counts by upper bound, and `sum` in seconds."""
        self.freshness_newest = self.freshness + ":newest"
        """Hash with the newest time of each symbol that the histogram has."""

    def performance_channel(self, symbol: str) -> str:
        """Return the channel with the performance of `symbol`, or of the account: `aggregate`."""
        return self.ticker_performance + symbol.upper()

    def updates_channel(self, symbol: str) -> str:
        """Return the channel with the prices and orders of `symbol`."""
        return self.ticker_updates + symbol.upper()
