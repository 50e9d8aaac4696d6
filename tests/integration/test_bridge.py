"""A bridge in this process, where there is more at once than it can handle."""

from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
import redis

from app.accounting import DailyFiles, Ledger, path_of, read_figures
from app.bridge import BATCH, PUBLISHED_AT_ONCE, Bridge, PerformancePublisher
from app.channels import JOURNAL, PROFIT_REPORT
from app.delivery import Candidate, Dispatcher, LatestValueRegister
from app.domain import MILLIONTHS, ProfitReport, to_microseconds
from app.messaging import NEWEST, START, Journal, JournalEntry, Subscription, connect
from app.settings import load_settings
from tests.system import Listener, envelope, now_text, report, today


class Watched(Journal):
    """The journal, with somebody who is told how much of it was read at once."""

    was_read: Callable[[int], None]

    def read(self, position: str, limit: int, up_to: str = NEWEST) -> list[JournalEntry]:
        entries = super().read(position, limit, up_to)
        self.was_read(len(entries))
        return entries


class NoTasks:
    """A queue that nobody needs here: the Celery app of this process belongs to other tests."""

    def waiting(self) -> int:
        return 0

    def store(self, candidates: Sequence[Candidate]) -> None:
        pass

    def store_in_bulk(self, candidates: Sequence[Candidate]) -> None:
        pass


class Pieces(PerformancePublisher):
    """Knows how many messages at most were on their way at once."""

    largest = 0

    def confirm(self) -> None:
        self.largest = max(self.largest, self.unanswered)
        super().confirm()


def bridge_with(
    journal: Journal,
    url: str,
    folder: Path,
    performance_publisher: PerformancePublisher | None = None,
) -> Bridge:
    settings = load_settings(
        {"REDIS_URL": url, "PROFIT_BASE_PATH": str(folder), "METRICS_ADDRESS": "off"}
    )
    return Bridge(
        settings,
        subscription=Subscription(url, [PROFIT_REPORT]),
        journal=journal,
        ledger=Ledger(folder),
        files=DailyFiles(folder),
        performance_publisher=performance_publisher or PerformancePublisher(url),
        dispatcher=Dispatcher(NoTasks(), LatestValueRegister(url)),
    )


def begun(folder: Path) -> Ledger:
    """A ledger of which it is known that adopted files have nothing of the journal."""
    ledger = Ledger(folder)
    ledger.start_rebuilding(START)
    ledger.finish_rebuilding()
    return ledger


def counted(folder: Path) -> int:
    figures = read_figures(path_of(folder, today())) or {}
    return figures["SOFI"].total // 1_000_000 if figures else 0


def test_a_stop_does_not_wait_for_the_end_of_a_long_journal_which_is_counted_at_the_next_start(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.bridge.service._FINISH_WITHIN", 0)
    begun(tmp_path).close()
    reported = 5 * BATCH
    journal = Watched(connect(redis_url))
    with redis.Redis.from_url(redis_url) as bots:
        pipeline = bots.pipeline()
        for n in range(reported):
            at = now_text(timedelta(microseconds=n))
            pipeline.xadd(JOURNAL, {"message": envelope(report("SOFI", 1, timestamp=at))})
        pipeline.execute()

    bridge = bridge_with(journal, redis_url, tmp_path)
    journal.was_read = lambda _: bridge.stop()
    bridge.run()
    assert counted(tmp_path) == BATCH

    second = bridge_with(journal, redis_url, tmp_path)
    journal.was_read = lambda read: second.stop() if read < BATCH else None
    second.run()
    assert counted(tmp_path) == reported


def test_whatever_an_earlier_run_has_not_published_a_slow_connection_can_take(
    redis_url: str, tmp_path: Path
) -> None:
    recorded = PUBLISHED_AT_ONCE + 1
    at = to_microseconds(now_text())
    ledger = begun(tmp_path)
    ledger.open_day(today(), "increment")
    reports = [ProfitReport("SOFI", "", at + n, MILLIONTHS, 0, 0, 0) for n in range(recorded)]
    ledger.record([(report, b"") for report in reports], [], START, "")
    ledger.close()
    journal, performance_publisher = Watched(connect(redis_url)), Pieces(redis_url)
    bridge = bridge_with(journal, redis_url, tmp_path, performance_publisher)
    journal.was_read = lambda _: bridge.stop()
    with closing(Listener(redis_url, "TICKER_PERFORMANCE_*")) as listener:
        bridge.run()
        heard = [data["data"]["total"] for _, data in listener.wait_for(2 * recorded)]
    # Each report has a message of its symbol and one of the account.
    assert heard == [n for total in range(1, recorded + 1) for n in (total, total)]
    assert performance_publisher.largest <= PUBLISHED_AT_ONCE
