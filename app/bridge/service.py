"""The bridge: from what the bots report to what everybody else sees.

One batch at a time: read what is there, count it, show it in the daily file, publish it, hand it
over to Celery. What is slow (files, tasks) has threads of its own, so that reading goes on: Redis
cuts off a subscriber that does not read.
"""

import logging
import time
from collections.abc import Callable

import redis

from app.accounting import Batch, Bookkeeper, DailyFiles, Ledger
from app.bridge.performance_publisher import PerformancePublisher
from app.bridge.ticker_updates import new_values
from app.channels import PROFIT_REPORT
from app.delivery import Dispatcher
from app.domain import RenderedBatch, RenderedFigures, read_report
from app.errors import RejectMessage, RetryLater, StopProgram
from app.messaging import NEWEST, START, Journal, Subscription
from app.monitoring import Health, Metrics, StatusServer
from app.settings import Settings

log = logging.getLogger(__name__)

_REPORTS = PROFIT_REPORT.encode()

BATCH = 1000
"""About how many messages share one commit and one round trip, at the most."""

PUBLISHED_AT_ONCE = 5_000
"""Messages in one round trip, which a slow connection must take before it is given up. A batch has
fewer; what a bridge has recorded and not published when it ended may be a hundred thousand."""

WAIT_SECONDS = 0.25
"""How long to wait for a message; also how soon a signal to stop is seen."""

JOURNAL_CHECK_SECONDS = 1.0
"""How often the journal is read without a message that says that there is something in it."""

PRUNED_PER_SECOND = 1000
"""Reports of days that are no longer kept: dropped little by little, so that nothing waits."""

_RETRY_PAUSE = 0.5
_STOP_SEEN_WITHIN = 0.05
_FINISH_WITHIN = 2.0
_CLOSE_WITHIN = 1.5


def now_in_microseconds() -> int:
    """The time of this machine, in microseconds since 1970 UTC."""
    return time.time_ns() // 1000


class Bridge:
    """Takes in reports, prices and orders until it is told to stop.

    Args:
        settings: of this process.
        subscription: to PROFIT_REPORT and TICKER_UPDATES_*.
        journal: where journaling publishers leave their reports.
        ledger: what has been counted.
        files: the daily JSON.
        performance_publisher: of what changed.
        dispatcher: to Celery.
        clock: the time in microseconds since 1970 UTC.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        subscription: Subscription,
        journal: Journal,
        ledger: Ledger,
        files: DailyFiles,
        performance_publisher: PerformancePublisher,
        dispatcher: Dispatcher,
        clock: Callable[[], int] = now_in_microseconds,
    ) -> None:
        self._settings = settings
        self._subscription = subscription
        self._journal = journal
        self._ledger = ledger
        self._files = files
        self._performance_publisher = performance_publisher
        self._dispatcher = dispatcher
        self._clock = clock
        self._metrics = Metrics()
        folder = settings.profit_base_path
        self._bookkeeper = Bookkeeper(
            ledger, folder, settings.profit_report_kind, clock, settings.profit_decimals
        )
        self._health = Health(subscription, dispatcher, folder)
        self._status = StatusServer(
            settings, self._health, self._metrics, lambda: ledger.journal_position
        )
        # A plain flag: an Event that is set by a signal handler may wait for its own lock.
        self._stopping = False
        self._finish_by = 0.0
        # How a message of our own publisher ends: no need to read it to know where it is, too.
        self._mark_of_journal = f'"journal": "{journal.name}"}}'.encode()
        self._to_publish: list[RenderedFigures] = []
        self._subscriptions_seen = 0
        self._is_behind = False
        # Once it has not, it is not read from in the same turn, and not used at all while stopping:
        # each time may take seconds.
        self._redis_answers = True
        self._journal_due = self._prune_due = self._reconcile_due = 0.0

    def stop(self) -> None:
        """Finish what was received, and return from `run`. May be called by a signal handler."""
        self._finish_by = time.monotonic() + _FINISH_WITHIN
        self._stopping = True

    def run(self) -> None:
        """Take in messages until `stop`.

        Raises:
            WrongSetting: today was begun with the other PROFIT_REPORT_KIND.
            StopProgram: Redis cannot be reached at the start, or something that was received could
                not be counted at the end.
        """
        self._bookkeeper.check_kind()
        self._subscription.start()
        self._bookkeeper.open(self._journal.end)
        self._files.start(self._metrics.file_written)
        self._dispatcher.start()
        self._status.start()
        try:
            self._tell(self._bookkeeper.rendered_at_start())
            log.info("bridge_started folder=%s", self._settings.profit_base_path)
            while not self._stopping:
                self._turn(WAIT_SECONDS)
            self._finish()
        finally:
            self._close()
        log.info("bridge_stopped")

    def _turn(self, timeout: float) -> int:
        """Handle one batch of messages; how many there were."""
        self._health.heartbeat()
        received = self._subscription.receive(BATCH, timeout)
        now = self._clock()
        self._redis_answers = self._redis_answers or not self._stopping
        if self._ledger.rebuilding_until:
            # First, so that what is published again by now is known as a repetition.
            self._count_journal(now)
        journal_has_entries = self._is_journal_due()
        batch = Batch(self._ledger.journal_position)
        updates = []
        for channel, message in received:
            if channel != _REPORTS:
                updates.append((channel, message))
            elif message.endswith(self._mark_of_journal) or self._is_in_journal(
                message, now, batch
            ):
                journal_has_entries = True
        values, refused = new_values(updates)
        self._metrics.values_taken_in(len(values))
        for message, error in refused:
            batch.reject(now, error, message)
        self._is_behind = len(received) >= BATCH
        self._dispatcher.put(values, is_behind=self._is_behind)
        self._count(batch)
        if journal_has_entries:
            self._count_journal(now)
        if not received:
            self._ledger.sync_published()
        now_monotonic = time.monotonic()
        if now_monotonic >= self._prune_due:
            self._prune_due = now_monotonic + 1
            self._bookkeeper.prune(self._settings.ledger_days_kept, PRUNED_PER_SECOND)
        if now_monotonic >= self._reconcile_due:
            self._reconcile()
        return len(received)

    def _is_in_journal(self, message: bytes, now: int, batch: Batch) -> bool:
        """Whether the journal has this report too; if not, it is taken into the batch."""
        try:
            report, journal = read_report(message, now)
        except RejectMessage as error:
            batch.reject(now, error, message)
            return False
        if journal == self._journal.name:
            return True
        batch.accepted.append((report, message))
        return False

    def _count_journal(self, now: int) -> None:
        while True:
            rebuilding_until = self._ledger.rebuilding_until
            if not self._redis_answers or (rebuilding_until and self._to_publish):
                # The second while stopping; what an adopted file has must not be marked before it.
                return
            if self._is_late_to_stop() and not rebuilding_until:
                # The journal keeps the rest. Not where the ledger is begun anew: until it is known
                # what adopted files have, a report that comes again would be counted again.
                return
            position = self._ledger.journal_position
            try:
                entries = self._journal.read(position, BATCH, rebuilding_until or NEWEST)
            except (redis.RedisError, OSError) as error:
                self._redis_answers = False
                log.warning("journal_not_read reason=%s", error)
                return
            batch = Batch(
                entries[-1].position if entries else position,
                may_be_imported=bool(rebuilding_until),
            )
            for _, message in entries:
                try:
                    report, _ = read_report(message, now)
                    batch.accepted.append((report, message))
                except RejectMessage as error:
                    batch.reject(now, error, message)
            self._count(batch)
            if len(entries) < BATCH:
                if not rebuilding_until:
                    return
                self._ledger.finish_rebuilding()

    def _is_journal_due(self) -> bool:
        """Whether to read the journal without being told that there is something in it."""
        now = time.monotonic()
        resubscribed = self._subscriptions_seen != self._subscription.subscriptions
        if resubscribed:
            self._begin_new_journal(self._subscription.subscriptions)
        elif now < self._journal_due:
            return False
        self._journal_due = now + JOURNAL_CHECK_SECONDS
        return True

    def _begin_new_journal(self, subscriptions: int) -> None:
        """Read from the start where Redis lost the journal: nothing is counted twice anyway."""
        if self._redis_answers:
            try:
                if self._journal.is_behind(self._ledger.journal_position):
                    self._ledger.journal_position = START
                self._subscriptions_seen = subscriptions
            except (redis.RedisError, OSError) as error:
                self._redis_answers = False
                log.warning("journal_not_read reason=%s", error)

    def _count(self, batch: Batch) -> None:
        """Count a batch, however long the disk takes, and tell everybody."""
        # What the last batch sent: the mark for it must not be set when more is recorded.
        self._publish()
        nothing_read = batch.journal_position == self._ledger.journal_position
        if nothing_read and not batch.accepted and not batch.rejected:
            return
        while True:
            try:
                counted = self._bookkeeper.count(batch)
                self._health.heartbeat()
                break
            except RetryLater as error:
                self._health.heartbeat(waits_for=f"ledger: {error}")
                log.error("not_counted reports=%d reason=%s", len(batch.accepted), error)
                if self._stopped_during(_RETRY_PAUSE):
                    raise StopProgram(
                        f"{error}: {len(batch.accepted)} reports were not counted"
                    ) from None
        self._metrics.batch_counted(counted.commit_seconds, counted.outcomes, counted.late)
        self._metrics.rejected(counted.reject_codes)
        self._tell(counted.rendered)

    def _tell(self, rendered: RenderedBatch) -> None:
        """Show what changed in the daily files, publish it, and hand it over."""
        self._to_publish += rendered.newest
        self._files.update(rendered.by_day)
        newest = dict(self._to_publish)
        # While there is more to read Redis may publish meanwhile. Not while a lost ledger is begun
        # again: the journal is read for that only when all is published.
        self._publish(wait=not self._is_behind or bool(self._ledger.rebuilding_until))
        self._dispatcher.put(figures=newest, is_behind=self._is_behind)

    def _publish(self, *, wait: bool = True) -> None:
        """Publish what there is to publish, however long Redis takes.

        Publishing again what was perhaps published is the lesser evil: at least once.

        Args:
            wait: until it is published; else it is sent, and the next call waits.
        """
        while self._to_publish:
            if self._stopping and not self._redis_answers:
                return
            try:
                if not self._performance_publisher.unanswered:
                    self._performance_publisher.send(self._to_publish[:PUBLISHED_AT_ONCE])
                if not wait:
                    return
                sent = self._performance_publisher.unanswered
                self._performance_publisher.confirm()
                del self._to_publish[:sent]
                if self._to_publish and self._is_late_to_stop():
                    return
            except (redis.RedisError, OSError) as error:
                self._redis_answers = False
                self._health.heartbeat(waits_for=f"redis: nothing can be published: {error}")
                log.warning("not_published messages=%d reason=%s", len(self._to_publish), error)
                self._stopped_during(_RETRY_PAUSE)
        self._ledger.mark_published()

    def _stopped_during(self, seconds: float) -> bool:
        """Wait, but no longer than until `stop`; whether it was called."""
        until = time.monotonic() + seconds
        while not self._stopping and time.monotonic() < until:
            time.sleep(_STOP_SEEN_WITHIN)
        return self._stopping

    def _reconcile(self) -> None:
        """Propose all newest figures again, and let go of what is over."""
        self._reconcile_due = time.monotonic() + self._settings.reconcile_seconds
        decimals = self._settings.profit_decimals
        newest = self._bookkeeper.totals.newest()
        self._dispatcher.put(
            figures={change.symbol: change.figures.shown(decimals) for change in newest},
            is_behind=self._is_behind,
        )
        self._files.forget_before(min(self._bookkeeper.totals.days))
        if self._redis_answers:
            try:
                self._journal.trim(self._ledger.journal_position)
            except (redis.RedisError, OSError) as error:
                self._redis_answers = False
                log.warning("journal_not_trimmed reason=%s", error)

    def _finish(self) -> None:
        """Handle what was received already."""
        while self._turn(timeout=0.05) >= BATCH:
            if self._is_late_to_stop():
                log.warning(
                    "stopped_behind: what only pub/sub had is lost, the journal keeps its own"
                )
                return

    def _is_late_to_stop(self) -> bool:
        return self._stopping and time.monotonic() > self._finish_by

    def _close(self) -> None:
        self._subscription.close()
        self._performance_publisher.close()
        self._ledger.sync_published()
        # Both threads have been at it since the stop was asked for: one deadline is for both.
        give_up_at = time.monotonic() + _CLOSE_WITHIN
        if not self._files.close(_CLOSE_WITHIN):
            log.warning("daily_file_behind: it is made again from the ledger at the next start")
        # To a Redis that does not answer nothing can be handed over.
        within = max(0.0, give_up_at - time.monotonic()) if self._redis_answers else 0.0
        left = self._dispatcher.close(within)
        if left:
            log.warning("not_dispatched slots=%d: they are at the next start", left)
        self._ledger.close()
