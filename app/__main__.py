"""The commands. The one place where the parts are wired together."""

import gc
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from app.cli import run
from app.settings import Settings

if TYPE_CHECKING:
    from app.delivery import Dispatcher


class _Service(Protocol):
    def run(self) -> None: ...

    def stop(self) -> None: ...


def _bridge(settings: Settings) -> int:
    """Take in reports, keep the daily JSON, republish, and hand over to the workers."""
    from app.accounting import DailyFiles, Ledger
    from app.bridge import Bridge, PerformancePublisher
    from app.channels import PROFIT_REPORT, TICKER_UPDATES
    from app.messaging import Journal, Subscription, connect

    # What is there by now stays; what comes is freed without help. Looking for cycles in it after
    # every 700 objects would cost a quarter of the time of a report.
    gc.freeze()
    gc.set_threshold(50_000)
    return _serve(
        Bridge(
            settings,
            subscription=Subscription(settings.redis_url, [PROFIT_REPORT], [TICKER_UPDATES + "*"]),
            journal=Journal(connect(settings.redis_url)),
            ledger=Ledger(settings.profit_base_path),
            files=DailyFiles(settings.profit_base_path),
            performance_publisher=PerformancePublisher(settings.redis_url),
            dispatcher=_dispatcher(settings),
        )
    )


def _subscriber(settings: Settings) -> int:
    """Store what another program publishes on TICKER_PERFORMANCE_* and TICKER_UPDATES_*."""
    from app.bridge import SubscriberService, service_subscription

    return _serve(
        SubscriberService(settings, service_subscription(settings), _dispatcher(settings))
    )


def _dispatcher(settings: Settings) -> "Dispatcher":
    from app.delivery import Dispatcher, LatestValueRegister
    from tasks.queue import CeleryQueue

    register = LatestValueRegister(settings.redis_url)
    return Dispatcher(CeleryQueue(settings), register, settings.tickers)


def _serve(service: _Service) -> int:
    """Run a service until SIGTERM or Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stop())
    service.run()
    return 0


_SERVICES: dict[str, Callable[[Settings], int]] = {"bridge": _bridge, "subscriber": _subscriber}


def main(words: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    return run(words, _SERVICES)


if __name__ == "__main__":
    sys.exit(main())
