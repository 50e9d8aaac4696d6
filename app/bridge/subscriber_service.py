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
from app.delivery.dispatcher import Handover
from app.messaging.subscription import Subscriber
from app.monitoring.health import Vitals
from app.monitoring.http_server import StatusServer
from app.monitoring.metrics import Metrics
from app.settings import Settings

log = logging.getLogger(__name__)

BATCH = 500
WAIT_SECONDS = 0.25
_CLOSE_WITHIN = 2.0


def feed_subscriber(settings: Settings) -> Subscriber:
    """A subscriber to the channels of every ticker that is stored."""
    tickers = settings.tickers
    if tickers is None:
        return Subscriber(settings.redis_url, (), (TICKER_UPDATES + "*", TICKER_PERFORMANCE + "*"))
    names = [performance_channel(ticker) for ticker in sorted(tickers)]
    names += [updates_channel(ticker) for ticker in sorted(tickers) if ticker != AGGREGATE]
    return Subscriber(settings.redis_url, names)


class Feed:
    """Hands over what is published for the tickers, until it is told to stop."""

    def __init__(self, settings: Settings, subscriber: Subscriber, handover: Handover) -> None:
        self._subscriber = subscriber
        self._handover = handover
        self._metrics = Metrics()
        self._vitals = Vitals(subscriber, handover)
        self._status = StatusServer(settings, self._vitals, self._metrics)
        self._stopping = False

    def stop(self) -> None:
        """Finish what was received, and return from `run`. May be called by a signal handler."""
        self._stopping = True

    def run(self) -> None:
        """Take in messages until `stop`.

        Raises:
            StopProgram: Redis cannot be reached at the start.
        """
        self._subscriber.start()
        self._handover.start()
        self._status.start()
        log.info("subscriber_started")
        while not self._stopping:
            self._turn()
        self._turn()
        self._subscriber.close()
        left = self._handover.close(_CLOSE_WITHIN)
        if left:
            log.warning("not_handed_over slots=%d", left)
        log.info("subscriber_stopped")

    def _turn(self) -> None:
        self._vitals.turned()
        values, refused = new_values(self._subscriber.receive(BATCH, WAIT_SECONDS))
        for _, reason in refused:
            log.warning("message_rejected reason=%r", reason)
        self._metrics.rejected(reason for _, reason in refused)
        self._metrics.values_taken_in(len(values))
        self._handover.put(values)
