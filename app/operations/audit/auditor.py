"""The audit: a day made again from the ledger's rows, and held against what everybody sees.

Looking changes nothing, and needs no stop: what the daily file or Firebase shows is right if the
ledger had it at the beginning of the audit or later. What is behind is looked at again for a while.
"""

import time
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from app.accounting import DailyFiles, LedgerReader, held_if_free, path_of, set_aside
from app.delivery import (
    Candidate,
    FailedStores,
    LatestValueRegister,
    LatestValueStore,
    StoreResult,
)
from app.domain import (
    BEHIND_LIMIT,
    PERFORMANCE,
    ZERO,
    Update,
    date_of,
)
from app.errors import Outdated, StopProgram
from app.firebase import (
    CONNECTIONS,
    FIREBASE_ERRORS,
    FirebaseClient,
    escape_key,
    node_path,
    rate_limiter_of,
    unescape_key,
)
from app.operations.audit.comparison import (
    FILE,
    FIREBASE,
    LEDGER,
    Difference,
    compare,
    contradictions,
)
from app.operations.audit.rebuilt_day import LedgerDay
from app.settings import Settings

_PAUSE = 0.25
_BULK = 500
_FILE_WITHIN = 10.0


@dataclass
class Findings:
    """What an audit found."""

    day: int
    reports: int = 0
    looked_at: dict[str, int] = field(default_factory=dict)
    """How many figures, the account's among them, there are of the day in each place."""
    differing: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What a person should know besides, such as that a file is torn."""


class _FirebaseReader(FirebaseClient):
    """Reads what the front end reads; and the ledger being right, it writes over what is not."""

    def store_many(self, updates: Sequence[Update]) -> None:
        """Store as ever, and also over a performance whose time is wrongly a later one."""
        try:
            super().store_many(updates)
        except Outdated:
            # The rules let nothing older be written over it, but it may be removed.
            super().store_many([update._replace(value={}) for update in updates])
            super().store_many(updates)

    def symbols(self) -> list[str]:
        """Every symbol that has a node."""
        with self._reading():
            found = self._root.get(shallow=True)
        keys = found if isinstance(found, Mapping) else ()
        # Another key is none of ours.
        return [unescape_key(key) for key in keys if escape_key(unescape_key(key)) == key]

    def performances(self, symbols: Collection[str]) -> dict[str, Any]:
        """The performance of each symbol, where there is one."""
        with self._reading(), ThreadPoolExecutor(CONNECTIONS) as threads:
            nodes = dict(zip(symbols, threads.map(self._performance, symbols), strict=True))
        return {symbol: node for symbol, node in nodes.items() if node is not None}

    def _performance(self, symbol: str) -> Any:
        return self._root.child(node_path(symbol, PERFORMANCE)).get()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except FIREBASE_ERRORS as error:
            raise StopProgram(f"cannot read Firebase at {self.url}: {error}") from None


class Auditor:
    """Audits one day, and fixes what it finds.

    Args:
        settings: of this process.
        day: to be audited, counted from 1970-01-01.
        today: the day that it is now.
        in_firebase: whether Firebase is looked at too.

    Raises:
        StopProgram: there is no ledger, or no database is set.
    """

    def __init__(
        self, settings: Settings, day: int, today: int, *, in_firebase: bool = True
    ) -> None:
        self._settings = settings
        self._base = settings.profit_base_path
        self._day = day
        self._oldest = today - BEHIND_LIMIT.days
        self._path = path_of(self._base, day)
        self._reader = LedgerReader(self._base)
        # A day for which no report may come any more is proposed to Firebase by nobody.
        self._firebase = (
            _FirebaseReader(settings, rate_limiter_of(settings).acquire)
            if in_firebase and day >= self._oldest
            else None
        )

    def close(self) -> None:
        """Give ledger and connections back."""
        self._reader.close()
        if self._firebase:
            self._firebase.close()

    def audit(self, patience: float) -> Findings:
        """Compare ledger, daily file and Firebase.

        Args:
            patience: seconds for which what differs is looked at again before it is told.

        Raises:
            StopProgram: one of them cannot be read.
        """
        give_up_at = time.monotonic() + patience
        with self._reader.at_one_moment():
            if self._day < self._reader.kept_from():
                raise StopProgram(
                    f"the reports of {date_of(self._day)} are no longer kept (LEDGER_DAYS_KEPT): "
                    "there is nothing to compare with"
                )
            day = LedgerDay(self._settings, self._day, self._oldest, self._reader)
            findings = Findings(self._day, day.reports)
            sums = self._reader.sums(self._day, day.kind)
            findings.differing = contradictions(day.kind, day.opening_balance, sums, day.totals)
        suspects: dict[str, Collection[str]] = {FIREBASE: self._in_firebase(day)}
        while True:
            file, findings.notes = self._read_file()
            nodes = self._firebase.performances(suspects[FIREBASE]) if self._firebase else {}
            with self._reader.at_one_moment():
                day.catch_up()
            nodes = {symbol: node for symbol, node in nodes.items() if day.owns(symbol, node)}
            differing = self._differing(day, file, nodes, suspects)
            if not findings.looked_at:
                found = {LEDGER: len(day.records()), FILE: len(file), FIREBASE: len(nodes)}
                findings.looked_at = found
            if not differing or time.monotonic() >= give_up_at:
                break
            suspects = {
                place: {one.symbol for one in differing if one.place == place}
                for place in (FILE, FIREBASE)
            }
            time.sleep(_PAUSE)
        findings.differing += differing
        if day.is_empty and file:
            findings.notes.append(
                f"{self._path} is of a day that the ledger does not know: it is left alone"
            )
        return findings

    def fix(self, findings: Findings) -> list[str]:
        """Write the daily file again, and store in Firebase again, where they were found wrong.

        Returns:
            What was done and what could not be, for people.

        Raises:
            StopProgram: the folder or Firebase cannot be used.
            RetryLater: Redis or Firebase cannot be reached.
        """
        done = []
        if any(one.place == FILE for one in findings.differing):
            done.append(self._fix_file())
        wrong = {one.symbol for one in findings.differing if one.place == FIREBASE}
        for some in _in_parts(sorted(wrong)):
            done += self._fix_firebase(some)
        return done

    def _in_firebase(self, day: LedgerDay) -> Collection[str]:
        """The symbols of which Firebase may show this day."""
        if not self._firebase:
            return ()
        candidates = {*day.records(), *self._firebase.symbols()}
        return {
            symbol
            for symbol in candidates
            if self._settings.stores(symbol) and day.newest.get(symbol, self._day) <= self._day
        }

    def _differing(
        self,
        day: LedgerDay,
        file: Mapping[str, Any],
        nodes: Mapping[str, Any],
        suspects: Mapping[str, Collection[str]],
    ) -> list[Difference]:
        """What differs, of what differed before, and was not right a moment ago."""
        stored = {symbol for symbol in suspects[FIREBASE] if day.newest.get(symbol) == self._day}
        seen = {FILE: file, FIREBASE: nodes}
        return [
            one
            for one in compare(day.records(), file, nodes, stored)
            if one.symbol in suspects.get(one.place, (one.symbol,))
            and not day.had(one.symbol, seen[one.place].get(one.symbol))
        ]

    def _read_file(self) -> tuple[dict[str, Any], list[str]]:
        """What the daily file shows, and what is wrong with it as a whole."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, Any]), []
        except FileNotFoundError:
            return {}, [f"there is no {self._path}"]
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return {}, [f"{self._path} is no daily JSON: {error}"]
        except OSError as error:
            raise StopProgram(f"{self._path} cannot be read: {error.strerror}") from None

    def _fix_file(self) -> str:
        with held_if_free(self._base) as is_free:
            if not is_free and self._day >= self._oldest:
                return f"{self._path} is left to the bridge that is running: it sees to it itself"
            day = self._day_now(self._day)
            if day.is_empty:
                return f"{self._path} is left alone"
            try:
                aside = set_aside(self._path).name if self._path.exists() else ""
            except OSError as error:
                raise StopProgram(f"{self._path} cannot be moved: {error.strerror}") from None
            files = DailyFiles(self._base)
            files.update(
                {
                    self._day: [
                        (symbol, figures.shown(self._settings.profit_decimals))
                        for symbol, figures in day.totals.items()
                        if figures != ZERO
                    ]
                }
            )
            files.start()
            if not files.close(_FILE_WITHIN):
                raise StopProgram(f"{self._path} cannot be written")
        return f"{self._path} is written again" + (f"; {aside} is what it was" if aside else "")

    def _fix_firebase(self, symbols: Collection[str]) -> list[str]:
        """Store the newest figures of `symbols`, and nothing where the ledger has none."""
        if not self._firebase:
            return []
        register = LatestValueRegister(self._settings.redis_url)
        # Before the figures are read: a bridge that has newer ones proposes them above this.
        revision = register.next_revision()
        with self._reader.at_one_moment():
            newest = self._reader.newest_days(self._oldest)
        days = {newest[symbol] for symbol in symbols if symbol in newest}
        records = {day: self._day_now(day).records() for day in days}
        candidates = [
            # An empty node is none.
            Candidate(
                Update(
                    symbol,
                    PERFORMANCE,
                    records[newest[symbol]].get(symbol, {}) if symbol in newest else {},
                ),
                revision,
            )
            for symbol in symbols
        ]
        failed_stores = FailedStores(self._settings.redis_url)
        store = LatestValueStore(register, self._firebase, failed_stores)
        return _said(store.store(candidates, task=f"audit-{uuid.uuid4().hex}"))

    def _day_now(self, day: int) -> LedgerDay:
        with self._reader.at_one_moment():
            return LedgerDay(self._settings, day, self._oldest, self._reader)


def _said(stored: StoreResult) -> list[str]:
    done = [
        f"Firebase: {update.symbol} is {'stored again' if update.value else 'removed'}"
        for update in stored.written
    ]
    if stored.current:
        done.append(f"Firebase: {stored.current} were given a newer revision by somebody else")
    if stored.held:
        done.append(f"Firebase: {stored.held} are left to the tasks that store there")
    return done + [f"Firebase: {update.symbol}: {error}" for update, error in stored.refused]


def _in_parts(symbols: list[str]) -> Iterable[list[str]]:
    return (symbols[start : start + _BULK] for start in range(0, len(symbols), _BULK))
