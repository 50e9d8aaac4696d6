"""From what arrives on Redis to batches for the ledger."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar
from zlib import crc32

import redis
import structlog

from app.accounting import Batch, Ledger
from app.bridge.ticker_updates import latest_values
from app.channels import RedisNames
from app.delivery import RejectedUpdate, Slot
from app.domain import read_report
from app.errors import RejectMessage, StopProgram
from app.messaging import (
    NEWEST,
    CircuitBreaker,
    Journal,
    Presence,
    Received,
    Subscription,
    fix_for,
)
from app.timing import Timer, now_us

log = structlog.stdlib.get_logger(__name__)

BATCH_SIZE = 1000
"""About the most messages that share one commit and one round trip."""

JOURNAL_CHECK_SECONDS = 1.0
"""How often the journal is read even if no message says that it has something new."""

T = TypeVar("T")


class Arrivals(NamedTuple):
    """Messages of the subscription, sorted."""

    batch: Batch
    """Reports that only pub/sub has, and those that have to be rejected."""
    values: dict[Slot, str]
    """The latest prices and orders, as JSON text."""
    rejected_updates: list[RejectedUpdate]
    """Prices and orders that cannot be stored."""
    are_journaled: bool
    """Whether some reports are in the journal, and to be read from there."""


class Intake:
    """Reads the subscription and the journal, and decodes reports into batches.

    Args:
        subscription: Subscribes to PROFIT_REPORT, TICKER_UPDATES_* and the presence's channel.
        journal: Where journaling publishers put their reports.
        presence: Knows the other bridges that hear the same reports.
        ledger: Knows how far the journal is recorded.
        breaker: While it is tripped, the journal is left alone.
        names: The names on Redis.
    """

    def __init__(
        self,
        subscription: Subscription,
        journal: Journal,
        presence: Presence,
        ledger: Ledger,
        breaker: CircuitBreaker,
        names: RedisNames,
    ) -> None:
        self._subscription = subscription
        self._journal = journal
        self._presence = presence
        self._ledger = ledger
        self._breaker = breaker
        self._names = names
        self._reports = names.profit_report.encode()
        # Messages of our own publisher end like this: one need not decode them to know that the
        # journal has them.
        self._journaled_ending = f'"journal": "{journal.name}"}}'.encode()
        self._journal_timer = Timer(JOURNAL_CHECK_SECONDS)
        self.trouble = ""
        """Why Redis could not be asked the last time; empty: it could."""

    def start(self) -> None:
        """Subscribe. Raises StopProgram if Redis cannot be reached."""
        self._subscription.start()

    def close(self) -> None:
        self._subscription.close()

    def receive(self, timeout: float) -> list[Received]:
        """Wait up to `timeout` seconds for messages; return about BATCH_SIZE of them at most."""
        return self._subscription.receive(BATCH_SIZE, timeout)

    def sort(self, received: list[Received]) -> Arrivals:
        """Decode messages into a batch that leaves the journal where it is, and values."""
        now = now_us()
        batch = Batch(self._ledger.journal_position)
        are_journaled = False
        updates = []
        for channel, message in received:
            if channel != self._reports:
                updates.append((channel, message))
            elif message.endswith(self._journaled_ending):
                are_journaled = True
            else:
                try:
                    report, journal = read_report(message, now)
                except RejectMessage as error:
                    batch.reject(now, error, message)
                    continue
                if journal == self._journal.name:
                    are_journaled = True
                else:
                    batch.accepted.append((report, message))
        return Arrivals(batch, *latest_values(updates, self._names), are_journaled)

    def journal_end(self) -> str:
        """Return the position of the journal's end. Raises StopProgram without Redis."""
        try:
            return self._journal.end()
        except (redis.RedisError, OSError) as error:
            raise StopProgram(f"cannot read the journal: {error}: {fix_for(error)}") from None

    def is_journal_due(self) -> bool:
        """Return whether to read the journal even if no message says that it has something new."""
        return self._journal_timer.is_due()

    @property
    def is_rebuilding(self) -> bool:
        """Whether the journal has entries from before a lost ledger was started again."""
        return self._ledger.rebuilding_until is not None

    def finish_rebuilding(self) -> None:
        """Note that the entries from before the ledger are recorded."""
        self._ledger.finish_rebuilding()

    def read_journal(self) -> Batch | None:
        """Return the next batch of the journal; None while Redis does not answer.

        While rebuilding, it is one from before the ledger was started. A batch of fewer than
        BATCH_SIZE messages is the last one.
        """
        position = self._ledger.journal_position
        up_to = self._ledger.rebuilding_until or NEWEST
        reading = self._ask(self._journal.read, position, BATCH_SIZE, up_to)
        if reading is None:
            return None
        if reading.is_other:
            # Nothing is counted twice by reading all of it.
            log.warning("other_journal", hint="Redis lost the journal, or came back from a copy")
        batch = Batch(reading.position, may_be_imported=self.is_rebuilding, dropped=reading.dropped)
        now = now_us()
        for _, message in reading.entries:
            try:
                report, _ = read_report(message, now, crc32(message))
                batch.accepted.append((report, message))
            except RejectMessage as error:
                batch.reject(now, error, message)
        return batch

    def is_worth_recording(self, batch: Batch) -> bool:
        """Return whether the ledger has something to record of a batch."""
        return batch.size > 0 or batch.journal_position != self._ledger.journal_position

    @property
    def journal_position(self) -> str:
        """The position up to which the journal is recorded."""
        return self._ledger.journal_position

    def trim_journal(self, position: str) -> None:
        """Delete from the journal what is before `position`."""
        self._ask(self._journal.trim, position)

    def other_bridges(self) -> dict[str, str] | None:
        """Return the other bridges that hear the same reports; None while Redis does not answer."""
        return self._ask(self._presence.others)

    def _ask(self, method: Callable[..., T], *arguments: Any) -> T | None:
        """Call a method that asks Redis; return None if Redis does not answer or did not before."""
        if self._breaker.is_tripped:
            return None
        try:
            answer = method(*arguments)
        except (redis.RedisError, OSError) as error:
            self._breaker.is_tripped = True
            self.trouble = f"redis: {error}: {fix_for(error)}"
            log.warning("journal_not_available", reason=error, hint=fix_for(error))
            return None
        self.trouble = ""
        return answer
