"""The Firebase side alone, where another program calculates the profits."""

import logging

from app.bridge.ticker_updates import new_values
from app.channels import (
    AGGREGATE,
    TICKER_PERFORMANCE,
    TICKER_UPDATES,
    performance_channel,
    updates_channel,
)
from app.delivery import Dispatcher
from app.messaging import Subscription
from app.monitoring import Health, Metrics, StatusServer
from app.settings import Settings

log = logging.getLogger(__name__)

BATCH = 500
WAIT_SECONDS = 0.25
_CLOSE_WITHIN = 2.0


def service_subscription(settings: Settings) -> Subscription:
    """A subscriber to the channels of every ticker that is stored."""
    tickers = settings.tickers
    if tickers is None:
        return Subscription(
            settings.redis_url, (), (TICKER_UPDATES + "*", TICKER_PERFORMANCE + "*")
        )
    names = [performance_channel(ticker) for ticker in sorted(tickers)]
    names += [updates_channel(ticker) for ticker in sorted(tickers) if ticker != AGGREGATE]
    return Subscription(settings.redis_url, names)


class SubscriberService:
    """Hands over what is published for the tickers, until it is told to stop."""

    def __init__(
        self, settings: Settings, subscription: Subscription, dispatcher: Dispatcher
    ) -> None:
        self._subscription = subscription
        self._dispatcher = dispatcher
        self._metrics = Metrics()
        self._health = Health(subscription, dispatcher)
        self._status = StatusServer(settings, self._health, self._metrics)
        self._stopping = False

    def stop(self) -> None:
        """Finish what was received, and return from `run`. May be called by a signal handler."""
        self._stopping = True

    def run(self) -> None:
        """Take in messages until `stop`.

        Raises:
            StopProgram: Redis cannot be reached at the start.
        """
        self._subscription.start()
        self._dispatcher.start()
        self._status.start()
        log.info("subscriber_started")
        while not self._stopping:
            self._turn()
        self._turn()
        self._subscription.close()
        left = self._dispatcher.close(_CLOSE_WITHIN)
        if left:
            log.warning("not_dispatched slots=%d", left)
        log.info("subscriber_stopped")

    def _turn(self) -> None:
        self._health.heartbeat()
        values, refused = new_values(self._subscription.receive(BATCH, WAIT_SECONDS))
        for _, error in refused:
            log.warning("message_rejected reason=%r", str(error))
        self._metrics.rejected(error.code for _, error in refused)
        self._metrics.values_taken_in(len(values))
        self._dispatcher.put(values)
