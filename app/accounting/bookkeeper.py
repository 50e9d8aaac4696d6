"""The bookkeeper: every report into the ledger first, then into the totals."""

import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from app.accounting.daily_file import path_of, read_figures, set_aside
from app.accounting.ledger import Ledger, Outcome
from app.accounting.schema import Rejected
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

log = logging.getLogger(__name__)


@dataclass
class Batch:
    """What is counted together: reports with the messages they came in, and what was no report."""

    journal_position: str
    """Up to where the journal is read once this is counted."""
    accepted: list[tuple[ProfitReport, bytes]] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    reject_codes: list[RejectCode] = field(default_factory=list)
    """One for each rejected message."""
    from_before: bool = False
    """Journaled before the ledger was begun: what is accepted may be in adopted files already."""

    def reject(self, now: int, error: RejectMessage, message: bytes) -> None:
        """Keep a message that cannot be counted, with the reason."""
        self.rejected.append(Rejected(to_text(now), str(error), message[:LARGEST_MESSAGE]))
        self.reject_codes.append(error.code)


@dataclass
class Counted:
    """What became of a batch."""

    rendered: RenderedBatch
    """What it changes."""
    outcomes: dict[str, int]
    """How many reports were counted, repeated and in conflict."""
    late: int
    """How many of those counted are of an earlier day than today."""
    reject_codes: list[RejectCode]
    """Why messages were not counted."""
    commit_seconds: float


class Bookkeeper:
    """Keeps ledger and totals together, and takes in the daily files that were there before.

    Args:
        ledger: the truth.
        base: PROFIT_BASE_PATH, where daily files may already be.
        kind: what a report of a new day means.
        clock: the time in microseconds since 1970 UTC.
        decimals: places of the amounts that are shown.
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
        # DeadLetters until it is told: the disk may open a day and then not take the batch.
        self._unreported: list[FiguresChange] = []

    def check_kind(self) -> None:
        """See that today is of the kind that is set, before anything else is done.

        Raises:
            WrongSetting: today was begun with the other kind of report.
            StopProgram: the ledger cannot be read.
        """
        with self._reading():
            kind = self._ledger.open_day(self._today, self._kind)
        if kind != self._kind:
            raise WrongSetting(
                f"PROFIT_REPORT_KIND={self._kind}: today's reports were of the other kind so far; "
                "change it after midnight UTC"
            )

    def open(self, journal_end: Callable[[], str]) -> None:
        """Read all days that a report may still come for.

        Args:
            journal_end: up to where the journal is filled, asked where the ledger is begun.

        Raises:
            StopProgram: ledger or daily files cannot be read.
        """
        with self._reading():
            # A ledger that was lost, or is an old copy, shows in that a file has what it has not.
            if self._ledger.is_new or (
                self._ledger.is_empty(self._today) and path_of(self._base, self._today).exists()
            ):
                self._ledger.start_rebuilding(journal_end())
            for day in sorted(self._known_days(self._today) | {self._today}):
                self._open_day(day)

    def rendered_at_start(self) -> RenderedBatch:
        """All figures, not to be published; then what an earlier run may not have published.

        The latter is counted. Both together, so that no daily file goes back in between.

        Raises:
            StopProgram: ledger or daily files cannot be read.
        """
        rendered = RenderedBatch(self._decimals)
        for day in self.totals.days:
            rendered.take_in(self._figures_of(day))
        with self._reading():
            reports = self._ledger.unpublished()
            if reports:
                log.info("publishing_again reports=%d", len(reports))
            # After a week's rest their day may be one that no report could come for any more.
            self._open_days_of(reports)
        return self._apply(reports, rendered)

    def count(self, batch: Batch) -> Counted:
        """Record a batch, and count what is new in it; what that changes.

        Where that opens a day of which something is known, that comes first, not to be published.
        What adopted files have already is recorded, so that it counts once, and changes nothing.

        Raises:
            RetryLater: the disk did not take it; nothing of the batch was counted.
        """
        now = self._clock()
        try:
            self._turn_page(day_of(now))
            days = self._open_days_of([report for report, _ in batch.accepted])
            if batch.from_before:
                reports, imported = self._imported_first(batch.accepted)
            else:
                reports, imported = batch.accepted, 0
            began = time.monotonic()
            outcomes = self._ledger.record(
                reports, batch.rejected, batch.journal_position, to_text(now), imported
            )
            took = time.monotonic() - began
        except (sqlite3.Error, OSError) as error:
            raise RetryLater(f"the ledger takes nothing: {error}") from None
        reasons = [rejected.reason for rejected in batch.rejected]
        counted = []
        for (report, _), outcome in zip(reports, outcomes, strict=True):
            if outcome is Outcome.COUNTED:
                counted.append(report)
            elif outcome is Outcome.CONFLICT:
                reasons.append(f"conflict: {report.symbol} from {report.sender!r}")
        if reasons:
            # One line for a batch: a bot gone wild must not slow the loop by logging.
            log.warning("messages_rejected count=%d last=%r", len(reasons), reasons[-1])
        conflicts = len(reasons) - len(batch.rejected)
        tally = {
            "counted": len(counted),
            "repeated": len(reports) - len(counted) - conflicts,
            "conflict": conflicts,
        }
        # Nearly every batch is of today alone, and nothing is looked through then.
        is_late = min(days, default=self._today) < self._today
        late = (
            sum(day_of(report.timestamp_us) < self._today for report in counted) if is_late else 0
        )
        if imported:
            known_already = outcomes[:imported].count(Outcome.COUNTED)
            log.info("in_imported_file_already reports=%d", known_already)
            counted = counted[known_already:]
        rendered = self._apply(counted, RenderedBatch(self._decimals))
        codes = batch.reject_codes + ["conflict"] * conflicts
        return Counted(rendered, tally, late, codes, took)

    def _imported_first(
        self, reports: list[tuple[ProfitReport, bytes]]
    ) -> tuple[list[tuple[ProfitReport, bytes]], int]:
        """Put those first that an adopted file has by their time; how many they are."""
        days = {day_of(report.timestamp_us) for report, _ in reports}
        until = {day: self._ledger.imported_until(day) for day in days}
        imported: list[tuple[ProfitReport, bytes]] = []
        others: list[tuple[ProfitReport, bytes]] = []
        for report, message in reports:
            is_imported = report.timestamp_us <= until[day_of(report.timestamp_us)].get(
                report.symbol, -1
            )
            (imported if is_imported else others).append((report, message))
        return imported + others, len(imported)

    def prune(self, days_kept: int, limit: int) -> None:
        """Drop up to `limit` reports of days that are older than `days_kept`."""
        try:
            dropped = self._ledger.prune(day_of(self._clock()) - days_kept, limit)
        except sqlite3.Error as error:
            log.warning("ledger_not_pruned reason=%s", error)
            return
        if dropped:
            log.info("ledger_pruned reports=%d", dropped)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """End the program with one line where the start cannot read what it begins with."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StopProgram(
                f"PROFIT_BASE_PATH={self._base}: ledger or daily files cannot be read: "
                f"{error}{SEE_DOCTOR}"
            ) from None

    def _open_days_of(self, reports: Iterable[ProfitReport]) -> set[int]:
        """Open the days that are not open yet; all days of the reports."""
        days = {day_of(report.timestamp_us) for report in reports}
        self._open_days(days)
        return days

    def _open_days(self, days: set[int]) -> None:
        for day in days - self.totals.days.keys():
            self._open_day(day)
            self._unreported += self._figures_of(day)

    def _apply(self, reports: Sequence[ProfitReport], rendered: RenderedBatch) -> RenderedBatch:
        """Count reports; what that changes, and what was known of the days opened for them."""
        rendered.take_in(self._unreported)
        self._unreported = []
        rendered.take_in(change for report in reports for change in self.totals.apply(report))
        return rendered

    def _figures_of(self, day: int) -> list[FiguresChange]:
        return [
            FiguresChange(day, symbol, figures, is_newest=False)
            for symbol, figures in self.totals.days[day].items()
            if figures != ZERO
        ]

    def _turn_page(self, today: int) -> None:
        if today > self._today:
            self.totals.forget_before(_oldest(today))
        elif today < self._today:
            # A clock that was ahead has had days forgotten that may be the newest of a symbol.
            self._open_days(self._known_days(today))
        self._today = today

    def _known_days(self, today: int) -> set[int]:
        """The days that a report may still come for and of which the ledger has something."""
        # Tomorrow too: a report may be minutes ahead.
        days = range(_oldest(today), today + 2)
        return {day for day in days if not self._ledger.is_empty(day)}

    def _open_day(self, day: int) -> None:
        kind = self._ledger.open_day(day, self._kind)
        if self._ledger.is_empty(day):
            self._import_opening_balance(day)
        self.totals.add_day(day, self._ledger.day_totals(day, kind))

    def _import_opening_balance(self, day: int) -> None:
        path = path_of(self._base, day)
        try:
            opening_balance = read_figures(path)
        except RejectMessage as error:
            aside = set_aside(path)
            log.warning("daily_file_set_aside path=%s kept=%s reason=%s", path, aside, error)
            return
        if opening_balance:
            if AGGREGATE in opening_balance:
                # As its reports would have made it: none of them is newer than the account.
                newest = max(figures.timestamp_us for figures in opening_balance.values())
                opening_balance[AGGREGATE] = msgspec.structs.replace(
                    opening_balance[AGGREGATE], timestamp_us=newest
                )
            self._ledger.import_opening_balance(day, opening_balance)
            log.info("daily_file_imported path=%s symbols=%d", path, len(opening_balance))


def _oldest(today: int) -> int:
    """The oldest day that a report may come for."""
    return today - BEHIND_LIMIT.days
