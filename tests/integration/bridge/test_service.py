"""A bridge in this process that gets more at once than it can handle."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import redis

from app.accounting import Bookkeeper, DailyFiles, Ledger, path_of, read_figures
from app.bridge import (
    BATCH_SIZE,
    FINISH_WITHIN,
    PUBLISHED_AT_ONCE,
    Bridge,
    Intake,
    Outbox,
    PerformancePublisher,
)
from app.channels import PROFIT_REPORT, RedisNames
from app.delivery import Candidate, Dispatcher, LatestValueRegister, RejectedUpdates
from app.domain import ATOMS, ProfitReport, to_microseconds
from app.messaging import (
    NEWEST,
    START,
    CircuitBreaker,
    Journal,
    Presence,
    Reading,
    Received,
    Subscription,
    connect,
)
from app.monitoring import Health, Metrics, StatusServer
from app.settings import Settings, load_settings
from app.shutdown import ShutdownSignals
from app.timing import now_us
from tests.system import JOURNAL, Listener, envelope, now_text, report, today, wait_until


class WatchedJournal(Journal):
    """Reports how many entries are read at once."""

    on_read: Callable[[int], None]

    def read(self, position: str, limit: int, up_to: str = NEWEST) -> Reading:
        reading = super().read(position, limit, up_to)
        self.on_read(len(reading.entries))
        return reading


class EarlyReport(Subscription):
    """Has a report for the first turn of the loop."""

    def __init__(self, url: str, message: str) -> None:
        super().__init__(url, [PROFIT_REPORT])
        self._admin = connect(url)
        self._early: list[Received] = []
        self._message = message

    def start(self) -> None:
        super().start()
        self._admin.publish(PROFIT_REPORT, self._message)
        wait_until(lambda: bool(self._early_messages()), "the early report")

    def _early_messages(self) -> list[Received]:
        self._early += super().receive(1, 0.05)
        return self._early

    def receive(self, limit: int, timeout: float) -> list[Received]:
        early, self._early = self._early, []
        return early or super().receive(limit, timeout)


class NoTasks:
    """A task queue without a worker: the Celery app of this process belongs to other tests."""

    def waiting(self) -> int:
        return 0

    def store(self, candidates: Sequence[Candidate]) -> None:
        pass

    def store_in_bulk(self, candidates: Sequence[Candidate]) -> None:
        pass


class CountingPublisher(PerformancePublisher):
    """Remembers the most messages that were in flight."""

    most = 0

    def confirm(self) -> None:
        self.most = max(self.most, self.unconfirmed)
        super().confirm()


@contextmanager
def bridge_with(
    journal: Journal,
    url: str,
    folder: Path,
    performance_publisher: PerformancePublisher | None = None,
    grace: float = FINISH_WITHIN,
    subscription: Subscription | None = None,
) -> Iterator[tuple[Bridge, ShutdownSignals]]:
    """Wire a bridge as `app.__main__` does, but for the workers."""
    settings = load_settings(
        {"REDIS_URL": url, "PROFIT_BASE_PATH": str(folder), "METRICS_ADDRESS": "off"}
    )
    shutdown = ShutdownSignals(grace)
    with closing(Ledger(folder)) as ledger:
        subscription = subscription or Subscription(url, [PROFIT_REPORT])
        dispatcher = Dispatcher(NoTasks(), LatestValueRegister(settings))
        breaker, metrics = CircuitBreaker(), Metrics()
        health = Health(subscription, dispatcher, folder)
        publisher = performance_publisher or PerformancePublisher(settings)
        bridge = Bridge(
            settings=settings,
            shutdown=shutdown,
            breaker=breaker,
            intake=Intake(
                subscription,
                journal,
                Presence(connect(url), settings.names, ledger.identity),
                ledger,
                breaker,
                settings.names,
            ),
            bookkeeper=Bookkeeper(ledger, folder, "increment", now_us),
            files=DailyFiles(folder),
            outbox=Outbox(publisher, ledger, breaker, health, shutdown),
            rejected_updates=RejectedUpdates(settings),
            dispatcher=dispatcher,
            metrics=metrics,
            health=health,
            status=StatusServer(settings, health, metrics),
        )
        yield bridge, shutdown


def ledger_without_imports(folder: Path) -> Ledger:
    """Return a ledger that has no imported files, so that nothing is left to rebuild."""
    ledger = Ledger(folder)
    ledger.start_rebuilding(START)
    ledger.finish_rebuilding()
    return ledger


def counted(folder: Path) -> int:
    figures = read_figures(path_of(folder, today())) or {}
    return figures["SOFI"].total // ATOMS if figures else 0


def test_a_stop_does_not_wait_for_the_end_of_a_long_journal_which_is_counted_at_the_next_start(
    redis_url: str, tmp_path: Path
) -> None:
    ledger_without_imports(tmp_path).close()
    reported = 5 * BATCH_SIZE
    journal = WatchedJournal(connect(redis_url), RedisNames(""))
    with redis.Redis.from_url(redis_url) as bots:
        pipeline = bots.pipeline()
        for n in range(reported):
            at = now_text(timedelta(microseconds=n))
            pipeline.xadd(JOURNAL, {"message": envelope(report("SOFI", 1, timestamp=at))})
        pipeline.execute()

    with bridge_with(journal, redis_url, tmp_path, grace=0) as (bridge, shutdown):
        journal.on_read = lambda _: shutdown.request()
        bridge.run()
    assert counted(tmp_path) == BATCH_SIZE

    with bridge_with(journal, redis_url, tmp_path) as (second, stop):
        journal.on_read = lambda read: stop.request() if read < BATCH_SIZE else None
        second.run()
    assert counted(tmp_path) == reported


def test_a_large_unpublished_backlog_is_published_in_pieces(redis_url: str, tmp_path: Path) -> None:
    recorded = PUBLISHED_AT_ONCE + 1
    at = to_microseconds(now_text())
    ledger = ledger_without_imports(tmp_path)
    ledger.open_day(today(), "increment")
    reports = [ProfitReport("SOFI", "", at + n, ATOMS, 0, 0, 0) for n in range(recorded)]
    ledger.record([(report, b"") for report in reports], [], START, "")
    ledger.close()
    journal, performance_publisher = (
        WatchedJournal(connect(redis_url), RedisNames("")),
        CountingPublisher(Settings(redis_url=redis_url)),
    )
    with (
        closing(Listener(redis_url, "TICKER_PERFORMANCE_*")) as listener,
        bridge_with(journal, redis_url, tmp_path, performance_publisher) as (bridge, shutdown),
    ):
        journal.on_read = lambda _: shutdown.request()
        bridge.run()
        heard = [data["data"]["total"] for _, data in listener.wait_for(2 * recorded)]
    # Each report has a message of its symbol and one of the account.
    assert heard == [n for total in range(1, recorded + 1) for n in (total, total)]
    assert performance_publisher.most <= PUBLISHED_AT_ONCE


def test_a_report_of_an_imported_file_that_arrives_before_the_journal_is_read_counts_once(
    redis_url: str, tmp_path: Path
) -> None:
    again = envelope(report("SOFI", 1), sender="bot")
    journal = WatchedJournal(connect(redis_url), RedisNames(""))
    with redis.Redis.from_url(redis_url) as bots:
        bots.xadd(JOURNAL, {"message": again})
    with bridge_with(journal, redis_url, tmp_path) as (first, shutdown):
        journal.on_read = lambda _: shutdown.request()
        first.run()
    assert counted(tmp_path) == 1
    for file in tmp_path.glob("ledger.sqlite3*"):
        file.unlink()

    subscription = EarlyReport(redis_url, again)
    with bridge_with(journal, redis_url, tmp_path, subscription=subscription) as (second, stop):
        journal.on_read = lambda _: stop.request()
        second.run()
    assert counted(tmp_path) == 1
