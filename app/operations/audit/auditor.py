"""The audit: a day recomputed from the ledger's reports, and compared with what everybody sees.

An audit changes nothing and needs no stop. What the daily file or Firebase shows is right if the
ledger had it when the audit began, or later. What differs is checked again for a while, because it
may be on its way.
"""

import time
import uuid
from collections.abc import Collection, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from app.accounting import (
    LedgerReader,
    missing_reports,
    path_of,
    set_aside,
    try_lock,
    write_daily_file,
)
from app.delivery import (
    Candidate,
    FailedStores,
    LatestValueRegister,
    LatestValueStore,
    StoreResult,
)
from app.domain import BEHIND_LIMIT, PERFORMANCE, Update, date_of
from app.errors import StopProgram
from app.operations.audit.comparison import (
    FILE,
    FIREBASE,
    LEDGER,
    Difference,
    Record,
    compare,
    contradictions,
    shortened,
)
from app.operations.audit.daily_file_check import read_records
from app.operations.audit.ledger_day import LedgerDay
from app.operations.audit.performances import Performances
from app.settings import Settings

_PAUSE = 0.25
_BULK_SIZE = 500


@dataclass
class Findings:
    """What an audit found."""

    day: int
    reports: int
    compared: dict[str, int] = field(default_factory=dict)
    """How many records of the day were found in each place and compared, the account's included."""
    not_stored: list[str] = field(default_factory=list)
    """The day's symbols that TICKERS or STORE_AGGREGATE keep out of Firebase."""
    differing: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What else a person should know, such as that a file is torn."""


class Auditor:
    """Audits one day, and fixes what it finds.

    Args:
        settings: This process's settings.
        day: The day to audit, counted from 1970-01-01.
        today: The current day.
        in_firebase: Whether to compare Firebase too.

    Raises:
        StopProgram: There is no ledger, or no database is set.
    """

    def __init__(
        self, settings: Settings, day: int, today: int, *, in_firebase: bool = True
    ) -> None:
        self._settings = settings
        self._base = settings.profit_base_path
        self._day = day
        self._oldest_day = today - BEHIND_LIMIT.days
        self._path = path_of(self._base, day)
        self._reader = LedgerReader(self._base)
        # Nobody proposes a day to Firebase that no report can be for any more.
        has_firebase = in_firebase and day >= self._oldest_day
        self._performances = Performances(settings) if has_firebase else None

    def close(self) -> None:
        """Close the ledger and the connections."""
        self._reader.close()
        if self._performances:
            self._performances.close()

    def audit(self, patience: float) -> Findings:
        """Compare ledger, daily file and Firebase.

        Args:
            patience: Seconds for which to check differences again before they are reported.

        Raises:
            StopProgram: Ledger or daily file cannot be read.
            RetryLater: Firebase cannot be reached.
            GiveUp: Firebase refuses to be read.
        """
        deadline = time.monotonic() + patience
        day, contradicting = self._recompute()
        findings = Findings(self._day, day.reports)
        symbols, other_keys = self._performances.symbols() if self._performances else ([], [])
        suspects: dict[str, Collection[str]] = {FIREBASE: self._shown_in_firebase(day, symbols)}
        in_firebase: set[str] = set()
        while True:
            file, problem = read_records(self._path)
            nodes = self._performances.read(suspects[FIREBASE]) if self._performances else {}
            # The ledger last: it is never behind what was read before.
            with self._reader.at_one_moment():
                day.catch_up()
            nodes = {symbol: node for symbol, node in nodes.items() if day.owns(symbol, node)}
            differing = _confirmed(day, file, nodes, suspects)
            in_firebase |= nodes.keys()
            if not differing or time.monotonic() >= deadline:
                break
            suspects = {
                place: {one.symbol for one in differing if one.place == place}
                for place in (FILE, FIREBASE)
            }
            time.sleep(_PAUSE)
        findings.compared = {LEDGER: len(day.records()), FILE: len(file)}
        findings.compared[FIREBASE] = len(in_firebase)
        findings.differing = contradicting + differing
        findings.notes += [
            f"no symbol's node, left alone: {key!r} in Firebase" for key in other_keys
        ]
        findings.not_stored = [s for s in day.records() if not self._settings.stores(s)]
        if findings.not_stored and self._performances:
            findings.notes.append(
                "not stored in Firebase, and not compared there (TICKERS, STORE_AGGREGATE): "
                + shortened(findings.not_stored)
            )
        if problem:
            findings.notes.append(problem)
        if missing := missing_reports(self._base)[1]:
            findings.notes.append(missing)
        if day.is_empty and file:
            findings.notes.append(f"the ledger has nothing of that day: {self._path} is left alone")
        return findings

    def fix(self, findings: Findings) -> list[str]:
        """Write the daily file again, and store in Firebase again, where they were wrong.

        Returns:
            What was done and what could not be done, for people.

        Raises:
            StopProgram: The folder or Firebase cannot be used.
            RetryLater: Redis or Firebase cannot be reached.
        """
        done = []
        if any(one.place == FILE for one in findings.differing):
            done.append(self._fix_file())
        wrong = sorted({one.symbol for one in findings.differing if one.place == FIREBASE})
        for start in range(0, len(wrong), _BULK_SIZE):
            done += self._fix_firebase(wrong[start : start + _BULK_SIZE])
        return done

    def _recompute(self) -> tuple[LedgerDay, list[Difference]]:
        """Return the day, and where the two ways to add it up disagree."""
        with self._reader.at_one_moment():
            if self._day < self._reader.complete_from():
                raise StopProgram(
                    f"the reports of {date_of(self._day)} are no longer kept (LEDGER_DAYS_KEPT): "
                    "there is nothing to compare with"
                )
            day = LedgerDay(self._settings, self._day, self._oldest_day, self._reader)
            return day, contradictions(self._reader.figures(self._day, day.kind), day.totals)

    def _shown_in_firebase(self, day: LedgerDay, symbols: Collection[str]) -> Collection[str]:
        """Return the symbols for which Firebase, with nodes of `symbols`, may show this day."""
        if not self._performances:
            return ()
        return {
            symbol
            for symbol in (*day.records(), *symbols)
            if self._settings.stores(symbol) and day.newest.get(symbol, self._day) <= self._day
        }

    def _fix_file(self) -> str:
        lock = try_lock(self._base)
        if lock is None and self._day >= self._oldest_day:
            return f"{self._path} is left to the running bridge, which writes it again"
        with lock or nullcontext():
            day = self._day_now(self._day)
            if day.is_empty:
                return f"{self._path} is left alone"
            try:
                aside = set_aside(self._path) if self._path.exists() else None
                write_daily_file(self._path, day.shown(), is_ours=True)
            except OSError as error:
                raise StopProgram(f"{self._path} cannot be written: {error.strerror}") from None
        note = f"; the old one is {aside.name}" if aside else ""
        return f"{self._path} was written again{note}"

    def _fix_firebase(self, symbols: Collection[str]) -> list[str]:
        """Store the newest figures of `symbols`; remove those that the ledger does not have."""
        if not self._performances:
            return []
        register = LatestValueRegister(self._settings)
        # Before the figures are read: a bridge proposes newer ones with a higher revision.
        revision = register.next_revision()
        candidates = [
            Candidate(Update(symbol, PERFORMANCE, record), revision)
            for symbol, record in self._newest_records(symbols).items()
        ]
        failed_stores = FailedStores(self._settings)
        store = LatestValueStore(register, self._performances, failed_stores)
        return _described(store.store(candidates, task=f"audit-{uuid.uuid4().hex}", force=True))

    def _newest_records(self, symbols: Collection[str]) -> dict[str, Record]:
        """Return the record of each symbol's newest day; an empty one removes the node."""
        with self._reader.at_one_moment():
            newest = self._reader.newest_days(self._oldest_day)
        days = {newest[symbol] for symbol in symbols if symbol in newest}
        records = {day: self._day_now(day).records() for day in days}
        return {
            symbol: records.get(newest.get(symbol, -1), {}).get(symbol, {}) for symbol in symbols
        }

    def _day_now(self, day: int) -> LedgerDay:
        with self._reader.at_one_moment():
            return LedgerDay(self._settings, day, self._oldest_day, self._reader)


def _confirmed(
    day: LedgerDay,
    file: Mapping[str, Any],
    nodes: Mapping[str, Any],
    suspects: Mapping[str, Collection[str]],
) -> list[Difference]:
    """Return the differences of suspects, without what was right a moment ago."""
    stored = {symbol for symbol in suspects[FIREBASE] if day.newest.get(symbol) == day.day}
    found = {FILE: file, FIREBASE: nodes}
    return [
        one
        for one in compare(day.records(), file, nodes, stored)
        if one.symbol in suspects.get(one.place, (one.symbol,))
        and not day.had(one.symbol, found[one.place].get(one.symbol))
    ]


def _described(result: StoreResult) -> list[str]:
    done = [
        f"Firebase: {update.symbol} was {'stored again' if update.value else 'removed'}"
        for update in result.written
    ]
    if result.current:
        done.append(f"Firebase: {result.current} have a newer value by now")
    if result.held:
        done.append(f"Firebase: {result.held} are left to the tasks that are storing them")
    return done + [f"Firebase: {update.symbol}: {error}" for update, error in result.refused]
