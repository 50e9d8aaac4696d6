"""The bridge: from what the bots report to what everybody else sees.

Its loop takes one batch of messages after another through these steps:

    intake     read what has arrived on Redis, and decode the reports
    record     put them into the ledger, and add them to the totals
    publish    show the new figures in the daily file and on TICKER_PERFORMANCE_*
    dispatch   pass them on, for Celery to store them in Firebase
    timers     prune the ledger, reconcile, look for other bridges

Nothing is published before it is recorded. Files and tasks, which are slow, have threads of their
own, so that the loop goes on reading: Redis disconnects a subscriber that does not read.
"""

import time
from dataclasses import dataclass

import structlog

from app.accounting import Batch, Bookkeeper, Counted, DailyFiles
from app.bridge.intake import BATCH_SIZE, Intake
from app.bridge.outbox import Outbox
from app.bridge.ticker_updates import keep_rejected
from app.delivery import Dispatcher, RejectedUpdates
from app.domain import RenderedBatch
from app.errors import RetryLater, StopProgram
from app.messaging import SAME_REPORTS, CircuitBreaker
from app.monitoring import Health, Metrics, StatusServer
from app.settings import Settings
from app.shutdown import ShutdownSignals
from app.timing import Timer

log = structlog.stdlib.get_logger(__name__)

FINISH_WITHIN = 2.0
"""Seconds after a request to shut down in which the bridge handles what it has received."""

WAIT_SECONDS = 0.25
"""How long to wait for a message; also how soon a request to shut down is noticed."""

PRESENCE_SECONDS = 5.0
"""How often to look for other bridges that hear the same reports."""

PRUNE_SECONDS = 1.0
PRUNED_AT_ONCE = 1000
"""Reports that are pruned at once: few, so that nothing has to wait for it."""

_WAIT_WHILE_FINISHING = 0.05
_RETRY_PAUSE = 0.5
_CLOSE_WITHIN = 1.5


@dataclass(kw_only=True)
class Bridge:
    """Carries reports, prices and orders until a shutdown is requested.

    `app.__main__` makes its parts.
    """

    settings: Settings
    shutdown: ShutdownSignals
    breaker: CircuitBreaker
    intake: Intake
    bookkeeper: Bookkeeper
    files: DailyFiles
    outbox: Outbox
    rejected_updates: RejectedUpdates
    dispatcher: Dispatcher
    metrics: Metrics
    health: Health
    status: StatusServer

    def __post_init__(self) -> None:
        self._is_behind = False
        self._other_bridges: dict[str, str] = {}
        self._timers = (
            (Timer(PRUNE_SECONDS), self._prune),
            (Timer(PRESENCE_SECONDS), self._look_for_other_bridges),
            (Timer(self.settings.reconcile_seconds), self._reconcile),
        )

    def run(self) -> None:
        """Run until a shutdown is requested.

        Raises:
            WrongSetting: Today's reports were counted with the other PROFIT_REPORT_KIND.
            StopProgram: Redis cannot be reached at the start, or some reports that were received
                could not be recorded at the end.
        """
        self.bookkeeper.check_kind()
        self.intake.start()
        self.bookkeeper.open(self.intake.journal_end)
        self.files.start(self.metrics.file_written)
        self.dispatcher.start()
        self.status.start()
        try:
            rendered = self.bookkeeper.rendered_at_start()
            self._publish(rendered)
            self._dispatch(rendered)
            log.info("bridge_started", folder=self.settings.profit_base_path)
            while not self.shutdown.is_requested:
                self._run_once(WAIT_SECONDS)
            self._finish()
        finally:
            self._close()
        log.info("bridge_stopped")

    def _run_once(self, timeout: float) -> None:
        """Take what has arrived through all steps."""
        self.health.heartbeat(waits_for=self.intake.trouble)
        received = self.intake.receive(timeout)
        self._is_behind = len(received) >= BATCH_SIZE
        if not self.shutdown.is_requested:
            self.breaker.is_tripped = False
        if self.intake.is_rebuilding:
            self._rebuild()
        arrivals = self.intake.sort(received)
        self.metrics.values_accepted(len(arrivals.values))
        self.dispatcher.put(arrivals.values, is_behind=self._is_behind)
        self._process(arrivals.batch)
        keep_rejected(arrivals.rejected_updates, self.rejected_updates, self.metrics, self.breaker)
        if self.intake.is_journal_due() or arrivals.are_journaled:
            self._process_journal()
        if not received:
            self.outbox.sync()
        for timer, action in self._timers:
            if timer.is_due():
                action()

    def _rebuild(self) -> None:
        """Process what the journal had when a lost ledger was started again.

        This comes before anything else, so that reports which arrive again are recognized. For the
        same reason a shutdown does not cut it short.
        """
        # Figures are left in the outbox only while shutting down. Recording what imported daily
        # files contain would mark them as published.
        while self.outbox.is_empty:
            batch = self.intake.read_journal()
            if batch is None:
                return
            self._process(batch)
            if batch.size < BATCH_SIZE:
                self.intake.finish_rebuilding()
                return

    def _process_journal(self) -> None:
        """Process what is new in the journal. After a shutdown it keeps the rest."""
        while not self.shutdown.is_overdue:
            batch = self.intake.read_journal()
            if batch is None:
                return
            self._process(batch)
            if batch.size < BATCH_SIZE:
                return

    def _process(self, batch: Batch) -> None:
        """Record a batch, publish what it changes, and dispatch it."""
        # First what the previous batch sent, because the mark that everything recorded is
        # published must not include this batch.
        self.outbox.publish()
        if self.intake.is_worth_recording(batch):
            counted = self._record(batch)
            self._publish(counted.rendered)
            self._dispatch(counted.rendered)

    def _record(self, batch: Batch) -> Counted:
        """Record a batch, however long the disk takes.

        Raises:
            StopProgram: A shutdown was requested, and the disk does not take the batch.
        """
        while True:
            try:
                counted = self.bookkeeper.count(batch)
                break
            except RetryLater as error:
                self.health.heartbeat(waits_for=f"ledger: {error}")
                log.error("not_counted", reports=len(batch.accepted), reason=error)
                if self.shutdown.wait(_RETRY_PAUSE):
                    raise StopProgram(
                        f"{error}: {len(batch.accepted)} reports were not counted"
                    ) from None
        self.health.heartbeat()
        self.metrics.batch_counted(counted.commit_seconds, counted.outcomes, counted.late)
        self.metrics.rejected(counted.reject_codes)
        return counted

    def _publish(self, rendered: RenderedBatch) -> None:
        """Show figures in the daily files and on TICKER_PERFORMANCE_*."""
        self.files.update(rendered.by_day, self.intake.journal_position)
        self.outbox.put(rendered.newest)
        # While more messages wait here, the loop goes on as Redis publishes. Rebuilding needs an
        # empty outbox.
        self.outbox.publish(wait=not self._is_behind or self.intake.is_rebuilding)

    def _dispatch(self, rendered: RenderedBatch) -> None:
        """Pass the newest figures on for Celery."""
        self.dispatcher.put(figures=dict(rendered.newest), is_behind=self._is_behind)

    def _prune(self) -> None:
        """Drop reports of days that are no longer kept."""
        self.bookkeeper.prune(self.settings.ledger_days_kept, PRUNED_AT_ONCE)

    def _reconcile(self) -> None:
        """Dispatch all newest figures again, and forget what is over."""
        decimals = self.settings.profit_decimals
        newest = self.bookkeeper.totals.newest()
        self.dispatcher.put(
            figures={change.symbol: change.figures.shown(decimals) for change in newest},
            is_behind=self._is_behind,
        )
        self.files.forget_before(min(self.bookkeeper.totals.days))
        # Not what is only in the ledger: if that is lost, the files and the journal have it all.
        self.intake.trim_journal(self.files.written_position)

    def _look_for_other_bridges(self) -> None:
        """Log when another bridge starts or stops to count the same reports as this one."""
        others = self.intake.other_bridges()
        if others is None or others == self._other_bridges:
            return
        self._other_bridges = others
        if others:
            databases = ",".join(sorted(others.values()))
            log.warning("other_bridges", count=len(others), databases=databases, hint=SAME_REPORTS)
        else:
            log.info("no_other_bridges")

    def _finish(self) -> None:
        """Process what was received before the shutdown was requested."""
        self._run_once(_WAIT_WHILE_FINISHING)
        while self._is_behind:
            if self.shutdown.is_overdue:
                log.warning(
                    "stopped_behind",
                    hint="reports that only pub/sub had are lost, the journal keeps its own",
                )
                return
            self._run_once(_WAIT_WHILE_FINISHING)

    def _close(self) -> None:
        self.intake.close()
        self.outbox.close()
        # The threads of both have been finishing since the shutdown was requested.
        deadline = time.monotonic() + _CLOSE_WITHIN
        if not self.files.close(_CLOSE_WITHIN):
            log.warning("daily_file_behind", hint="the next start writes it from the ledger")
        # Nothing can be dispatched to a Redis that does not answer.
        timeout = 0.0 if self.breaker.is_tripped else max(0.0, deadline - time.monotonic())
        slots = self.dispatcher.close(timeout)
        if slots:
            log.warning("not_dispatched", slots=slots, hint="the next start dispatches them")
