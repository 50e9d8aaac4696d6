"""The subscriber: the Firebase side alone, for profits that another program calculates."""

from dataclasses import dataclass

import structlog

from app.bridge.arrival_times import ArrivalTimes
from app.bridge.ticker_updates import keep_rejected, latest_values
from app.channels import AGGREGATE, RedisNames
from app.delivery import Dispatcher, RejectedUpdates
from app.messaging import CircuitBreaker, Subscription
from app.monitoring import Health, Metrics, StatusServer
from app.settings import Settings
from app.shutdown import ShutdownSignals

log = structlog.stdlib.get_logger(__name__)

_BATCH_SIZE = 500
_WAIT_SECONDS = 0.25
_CLOSE_WITHIN = 2.0


def ticker_subscription(settings: Settings) -> Subscription:
    """Return a subscription to the channels of every ticker that is stored."""
    tickers, names = settings.tickers, settings.names
    if tickers is None:
        patterns = (names.ticker_updates + "*", names.ticker_performance + "*")
        return Subscription(settings.redis_url, (), patterns)
    stored = sorted(filter(settings.stores, tickers | {AGGREGATE}))
    channels = [names.performance_channel(ticker) for ticker in stored]
    channels += [names.updates_channel(ticker) for ticker in stored if ticker != AGGREGATE]
    return Subscription(settings.redis_url, channels)


@dataclass(kw_only=True)
class SubscriberService:
    """Dispatches what is published for the tickers until a shutdown is requested.

    `app.__main__` makes its parts.
    """

    names: RedisNames
    subscription: Subscription
    times: ArrivalTimes
    dispatcher: Dispatcher
    rejected_updates: RejectedUpdates
    metrics: Metrics
    health: Health
    status: StatusServer
    shutdown: ShutdownSignals

    def run(self) -> None:
        """Run until a shutdown is requested.

        Raises:
            StopProgram: Redis cannot be reached at the start.
        """
        self.subscription.start()
        self.dispatcher.start()
        self.status.start()
        log.info("subscriber_started")
        while not self.shutdown.is_requested:
            self._run_once()
        self._run_once()
        self.subscription.close()
        slots = self.dispatcher.close(_CLOSE_WITHIN)
        if slots:
            log.warning("not_dispatched", slots=slots)
        log.info("subscriber_stopped")

    def _run_once(self) -> None:
        self.health.heartbeat()
        received = self.subscription.receive(_BATCH_SIZE, _WAIT_SECONDS)
        values, rejected = latest_values(received, self.names)
        keep_rejected(rejected, self.rejected_updates, self.metrics, CircuitBreaker())
        self.metrics.values_accepted(len(values))
        self.times.correct(values)
        self.dispatcher.put(values)
