"""The bookkeeper: puts every report into the ledger first, then into the totals."""

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import structlog

from app.accounting.daily_file import path_of, read_figures, set_aside
from app.accounting.ledger import Ledger, Outcome, ReceivedReport
from app.accounting.rejected import Rejected, missing_reason
from app.channels import AGGREGATE
from app.domain import (
    BEHIND_LIMIT,
    LARGEST_MESSAGE,
    ZERO,
    FiguresChange,
    ProfitReport,
    RenderedBatch,
    ReportKind,
    Totals,
    day_of,
    to_text,
)
from app.errors import (
    SEE_DOCTOR,
    RejectCode,
    RejectMessage,
    RetryLater,
    StopProgram,
    WrongSetting,
)
from app.messaging import Dropped

log = structlog.stdlib.get_logger(__name__)


@dataclass
class Batch:
    """Messages that are recorded together."""

    journal_position: str
    """The position up to which the journal is read once this batch is recorded."""
    accepted: list[ReceivedReport] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    reject_codes: list[RejectCode] = field(default_factory=list)
    """One for each rejected message."""
    dropped: Dropped | None = None
    """What the journal dropped before the reports of this batch."""
    may_be_imported: bool = False
    """Whether an imported file may contain the reports: they were in the journal before it."""

    @property
    def size(self) -> int:
        """How many messages it consists of."""
        return len(self.accepted) + len(self.rejected)

    def reject(self, now: int, error: RejectMessage, message: bytes) -> None:
        """Add a message that cannot be counted, with the reason."""
        self.rejected.append(Rejected(to_text(now), str(error), message[:LARGEST_MESSAGE]))
        self.reject_codes.append(error.code)


@dataclass
class Counted:
    """What became of a batch."""

    rendered: RenderedBatch
    """The figures that changed."""
    outcomes: dict[str, int]
    """The number of reports that were counted, repeated and in conflict."""
    late: int
    """How many of those counted are for an earlier day than today."""
    reject_codes: list[RejectCode]
    """One for each message that was not counted."""
    commit_seconds: float


class Bookkeeper:
    """Keeps ledger and totals together, and imports daily files that the ledger does not have.

    Args:
        ledger: The ledger, which is the truth.
        base: PROFIT_BASE_PATH, where daily files may exist already.
        kind: What a report of a new day means.
        clock: Returns the time in microseconds since 1970 UTC.
        decimals: Decimal places of the figures that are shown.
    """

    def __init__(
        self,
        ledger: Ledger,
        base: Path,
        kind: ReportKind,
        clock: Callable[[], int],
        decimals: int = 2,
    ) -> None:
        self._ledger = ledger
        self._base = base
        self._kind = kind
        self._clock = clock
        self._decimals = decimals
        self._today = day_of(clock())
        self.totals = Totals()
        # Figures of days that were opened for a batch. They wait here until a batch is recorded:
        # the disk may fail in between.
        self._of_opened_days: list[FiguresChange] = []

    def check_kind(self) -> None:
        """Check that today's reports are of the kind that is set, before anything else is done.

        Raises:
            WrongSetting: Today has reports of the other kind.
            StopProgram: The ledger cannot be read.
        """
        with self._stop_if_unreadable():
            kind = self._ledger.open_day(self._today, self._kind)
        if kind != self._kind:
            raise WrongSetting(
                f"PROFIT_REPORT_KIND={self._kind}: today already has reports of the kind {kind}; "
                "change the setting after midnight UTC"
            )

    def open(self, journal_end: Callable[[], str]) -> None:
        """Read all days that a report may still be for.

        Args:
            journal_end: Returns the position of the journal's end; called if the ledger must be
                rebuilt.

        Raises:
            StopProgram: The ledger or a daily file cannot be read.
        """
        with self._stop_if_unreadable():
            # An old copy of a ledger shows in that today has a file, and no report.
            if self._ledger.is_new or (
                self._ledger.is_empty(self._today) and path_of(self._base, self._today).exists()
            ):
                self._ledger.start_rebuilding(journal_end())
            for day in sorted(self._known_days(self._today) | {self._today}):
                self._open_day(day)

    def rendered_at_start(self) -> RenderedBatch:
        """Render all figures, and count what an earlier run may not have published.

        Only the latter is to be published. Both are in one batch, so that no daily file goes back
        in between.

        Raises:
            StopProgram: The ledger or a daily file cannot be read.
        """
        rendered = RenderedBatch(self._decimals)
        for day in self.totals.days:
            rendered.add(self._figures_of(day))
        with self._stop_if_unreadable():
            reports = self._ledger.unpublished()
            if reports:
                log.info("publishing_again", reports=len(reports))
            # After a long stop they may be of days that no new report can be for.
            self._open_days_of(reports)
        return self._apply(reports, rendered)

    def count(self, batch: Batch) -> Counted:
        """Record a batch, and count its new reports.

        Raises:
            RetryLater: The disk failed; nothing of the batch was counted.
        """
        now = self._clock()
        try:
            self._move_to_day(day_of(now))
            days = self._open_days_of(report for report, _ in batch.accepted)
            imported, others = self._split_imported(batch)
            started = time.monotonic()
            outcomes = self._ledger.record(
                others,
                batch.rejected,
                batch.journal_position,
                to_text(now),
                imported,
                batch.dropped,
            )
            commit_seconds = time.monotonic() - started
        except (sqlite3.Error, OSError) as error:
            raise RetryLater(f"the ledger cannot be written: {error}") from None
        sorted_reports = _by_outcome([*imported, *others], outcomes)
        counted, moved = sorted_reports[Outcome.COUNTED], sorted_reports[Outcome.IMPORTED]
        conflicts = sorted_reports[Outcome.CONFLICT]
        if batch.dropped:
            log.error("reports_missing", reason=missing_reason(batch.dropped))
        if imported:
            log.info("in_imported_file_already", reports=len(moved))
        _log_rejected(batch.rejected, conflicts)
        # Nearly every batch is of today alone, and needs no search for late reports.
        has_late = min(days, default=self._today) < self._today
        return Counted(
            rendered=self._apply(counted, RenderedBatch(self._decimals)),
            outcomes={
                "counted": len(counted) + len(moved),
                "repeated": len(sorted_reports[Outcome.REPEATED]),
                "conflict": len(conflicts),
            },
            late=self._count_late(counted + moved) if has_late else 0,
            reject_codes=batch.reject_codes + ["conflict"] * len(conflicts),
            commit_seconds=commit_seconds,
        )

    def prune(self, days_kept: int, limit: int) -> None:
        """Delete up to `limit` reports of days that are older than `days_kept`.

        Not by the clock alone: one that is far ahead would have the present deleted.
        """
        try:
            newest = min(day_of(self._clock()), self._ledger.newest_day())
            deleted = self._ledger.prune(newest - days_kept, limit)
        except sqlite3.Error as error:
            log.warning("ledger_not_pruned", reason=error)
            return
        if deleted:
            log.info("ledger_pruned", reports=deleted)

    @contextmanager
    def _stop_if_unreadable(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StopProgram(
                f"PROFIT_BASE_PATH={self._base}: the ledger or a daily file cannot be read: "
                f"{error}{SEE_DOCTOR}"
            ) from None

    def _split_imported(self, batch: Batch) -> tuple[list[ReceivedReport], list[ReceivedReport]]:
        """Separate the reports that an imported file contains, by their time, from the others."""
        if not batch.may_be_imported:
            return [], batch.accepted
        days = {day_of(report.timestamp_us) for report, _ in batch.accepted}
        until = {day: self._ledger.imported_until(day) for day in days}
        imported: list[ReceivedReport] = []
        others: list[ReceivedReport] = []
        for report, message in batch.accepted:
            imported_until = until[day_of(report.timestamp_us)].get(report.symbol, -1)
            is_imported = report.timestamp_us <= imported_until
            (imported if is_imported else others).append((report, message))
        return imported, others

    def _count_late(self, reports: Iterable[ProfitReport]) -> int:
        return sum(day_of(report.timestamp_us) < self._today for report in reports)

    def _open_days_of(self, reports: Iterable[ProfitReport]) -> set[int]:
        """Open the days of the reports where they are not open yet; return all of them."""
        days = {day_of(report.timestamp_us) for report in reports}
        self._open_days(days)
        return days

    def _open_days(self, days: set[int]) -> None:
        for day in days - self.totals.days.keys():
            self._open_day(day)
            self._of_opened_days += self._figures_of(day)

    def _apply(self, reports: Sequence[ProfitReport], rendered: RenderedBatch) -> RenderedBatch:
        """Count reports; render the days that were opened for them, and then what changed."""
        rendered.add(self._of_opened_days)
        self._of_opened_days = []
        rendered.add(change for report in reports for change in self.totals.apply(report))
        return rendered

    def _figures_of(self, day: int) -> list[FiguresChange]:
        """Return what is known of a day; none of it is new."""
        return [
            FiguresChange(day, symbol, figures, is_newest=False)
            for symbol, figures in self.totals.days[day].items()
            if figures != ZERO
        ]

    def _move_to_day(self, today: int) -> None:
        if today > self._today:
            self.totals.forget_before(_oldest_day(today))
        elif today < self._today:
            # While the clock was ahead, days may have been forgotten that are a symbol's newest.
            self._open_days(self._known_days(today))
        self._today = today

    def _known_days(self, today: int) -> set[int]:
        """Return the days that a report may still be for, and of which the ledger has anything."""
        # Tomorrow too: a bot's clock may be minutes ahead.
        days = range(_oldest_day(today), today + 2)
        return {day for day in days if not self._ledger.is_empty(day)}

    def _open_day(self, day: int) -> None:
        kind = self._ledger.open_day(day, self._kind)
        if self._ledger.is_empty(day):
            self._import_daily_file(day)
        self.totals.add_day(day, self._ledger.day_totals(day, kind))

    def _import_daily_file(self, day: int) -> None:
        """Make the figures of a day's file its opening balance, if there is a file."""
        path = path_of(self._base, day)
        try:
            figures = read_figures(path)
        except RejectMessage as error:
            aside = set_aside(path)
            log.warning("daily_file_set_aside", path=path, copy=aside, reason=error)
            return
        if not figures:
            return
        if AGGREGATE in figures:
            # No report is newer than the account.
            newest = max(one.timestamp_us for one in figures.values())
            figures[AGGREGATE] = msgspec.structs.replace(figures[AGGREGATE], timestamp_us=newest)
        self._ledger.import_opening_balance(day, figures)
        log.info("daily_file_imported", path=path, symbols=len(figures))


def _oldest_day(today: int) -> int:
    """Return the oldest day that a report may be for."""
    return today - BEHIND_LIMIT.days


def _by_outcome(
    received: Sequence[ReceivedReport], outcomes: Sequence[Outcome]
) -> dict[Outcome, list[ProfitReport]]:
    return {
        wanted: [
            report
            for (report, _), outcome in zip(received, outcomes, strict=True)
            if outcome is wanted
        ]
        for wanted in Outcome
    }


def _log_rejected(rejected: list[Rejected], conflicts: list[ProfitReport]) -> None:
    """Log one line for a batch: a bot that misbehaves must not slow the bridge by logging."""
    reasons = [one.reason for one in rejected]
    reasons += [f"conflict: {report.symbol} from {report.sender!r}" for report in conflicts]
    if reasons:
        log.warning("messages_rejected", count=len(reasons), last=reasons[-1])
