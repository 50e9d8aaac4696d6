"""The command line, and the one place where the parts of the services are wired together."""

import gc
import sys
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

from app.cli import run
from app.settings import Settings
from app.shutdown import ShutdownSignals

if TYPE_CHECKING:
    from app.delivery import Dispatcher


def _bridge(settings: Settings) -> int:
    """Run the bridge until SIGTERM or Ctrl-C."""
    from app.accounting import Bookkeeper, DailyFiles, Ledger
    from app.bridge import FINISH_WITHIN, Bridge, Intake, Outbox, PerformancePublisher
    from app.delivery import RejectedUpdates
    from app.messaging import CircuitBreaker, Journal, Position, Presence, Subscription, connect
    from app.monitoring import Health, Metrics, StatusServer
    from app.timing import now_us

    # What exists by now stays, and what is made later is freed by its reference count. A search for
    # cycles after every 700 objects would cost a quarter of the time of a report.
    gc.freeze()
    gc.set_threshold(50_000)
    url, folder, names = settings.redis_url, settings.profit_base_path, settings.names
    with ShutdownSignals(grace=FINISH_WITHIN) as shutdown, closing(Ledger(folder)) as ledger:
        client = connect(url)
        presence = Presence(client, names, ledger.identity)
        channels, patterns = [names.profit_report, presence.channel], [names.ticker_updates + "*"]
        subscription = Subscription(url, channels, patterns)
        dispatcher = _dispatcher(settings)
        breaker = CircuitBreaker()
        metrics = Metrics()
        health = Health(subscription, dispatcher, folder)
        Bridge(
            settings=settings,
            shutdown=shutdown,
            breaker=breaker,
            intake=Intake(subscription, Journal(client, names), presence, ledger, breaker, names),
            bookkeeper=Bookkeeper(
                ledger, folder, settings.profit_report_kind, now_us, settings.profit_decimals
            ),
            files=DailyFiles(folder),
            outbox=Outbox(PerformancePublisher(settings), ledger, breaker, health, shutdown),
            rejected_updates=RejectedUpdates(settings),
            dispatcher=dispatcher,
            metrics=metrics,
            health=health,
            status=StatusServer(
                settings, health, metrics, lambda: Position.of(ledger.journal_position).entry
            ),
        ).run()
    return 0


def _subscriber(settings: Settings) -> int:
    """Run the subscriber until SIGTERM or Ctrl-C."""
    from app.bridge import ArrivalTimes, SubscriberService, ticker_subscription
    from app.delivery import LatestValueRegister, RejectedUpdates
    from app.monitoring import Health, Metrics, StatusServer
    from app.timing import now_us

    subscription = ticker_subscription(settings)
    dispatcher = _dispatcher(settings)
    metrics = Metrics()
    health = Health(subscription, dispatcher)
    with ShutdownSignals() as shutdown:
        SubscriberService(
            names=settings.names,
            subscription=subscription,
            times=ArrivalTimes(LatestValueRegister(settings), now_us),
            dispatcher=dispatcher,
            rejected_updates=RejectedUpdates(settings),
            metrics=metrics,
            health=health,
            status=StatusServer(settings, health, metrics),
            shutdown=shutdown,
        ).run()
    return 0


def _dispatcher(settings: Settings) -> "Dispatcher":
    from app.delivery import Dispatcher, LatestValueRegister
    from tasks.queue import CeleryQueue

    register = LatestValueRegister(settings)
    stores = None if settings.stores_all else settings.stores
    stores_orders = settings.orders_kept != 0
    return Dispatcher(CeleryQueue(settings), register, stores, stores_orders=stores_orders)


_SERVICES: dict[str, Callable[[Settings], int]] = {"bridge": _bridge, "subscriber": _subscriber}


def main(words: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    return run(words, _SERVICES)


if __name__ == "__main__":
    sys.exit(main())
