"""Storing the newest values of slots: what a task does, without Celery."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Protocol

from app.delivery.failed_stores import FailedStores
from app.delivery.kept_orders import KeptOrders
from app.delivery.register import (
    Candidate,
    LatestValueRegister,
    ProposalOutcome,
    ProposalStatus,
    Write,
)
from app.domain import Update
from app.errors import GiveUp, OutcomeUnknown, Outdated, RetryLater

MAX_ROUNDS = 10
"""How often one execution of a task writes something newer before it leaves that to the next."""

MAX_REQUEST_BYTES = 256 * 1024
"""How much one request to Firebase writes. A larger value has a request of its own."""

RETRY_MARGIN = 15.0
"""Seconds beyond its pause for which a task that will be retried reserves its slots."""


class FirebaseWriter(Protocol):
    """What is needed of FirebaseClient here."""

    def store_many(self, updates: Sequence[Update]) -> None:
        """Store several values in one request."""


@dataclass
class StoreResult:
    """What a task did with its candidates."""

    written: list[Update] = field(default_factory=list)
    current: int = 0
    """Candidates that were no newer than what is stored."""
    held: int = 0
    """Candidates that another task will store."""
    refused: list[tuple[Update, GiveUp]] = field(default_factory=list)
    """Values that Firebase refuses, for ever or until an operator has fixed something."""


class Unfinished(RetryLater):
    """Some slots are still to be written, by another execution of the same task.

    Attributes:
        pause: Seconds to wait before that execution.
    """

    def __init__(self, text: str, pause: float) -> None:
        super().__init__(text)
        self.pause = pause

    def __reduce__(self) -> tuple[type, tuple[str, float]]:
        return Unfinished, (str(self), self.pause)


class LatestValueStore:
    """Writes the newest values of slots to Firebase, with one writer per slot at a time.

    Args:
        register: Where the slots are.
        firebase: Where they are written.
        failed_stores: Where refused values are kept.
        kept_orders: What removes old orders. None: nothing does.
    """

    def __init__(
        self,
        register: LatestValueRegister,
        firebase: FirebaseWriter,
        failed_stores: FailedStores,
        kept_orders: KeptOrders | None = None,
    ) -> None:
        self._kept_orders = kept_orders
        self._register = register
        self._firebase = firebase
        self._failed_stores = failed_stores

    def store(
        self,
        candidates: Sequence[Candidate],
        *,
        task: str,
        resumed: bool = False,
        by_time: bool = False,
        will_retry: bool = False,
        retry_pause: float = 0.0,
    ) -> StoreResult:
        """Propose values, then write the newest one of each slot that no other task is writing.

        Orders are written last, and in requests of their own: they must not hold up the others.

        Args:
            candidates: One per slot.
            task: An id that all executions of one task share.
            resumed: Whether an earlier execution of the task may have proposed these values.
            by_time: Whether the revisions are the values' own times.
            will_retry: Whether the task is executed again if Unfinished is raised. If so, its
                slots are reserved for it. If not, they are released, and it goes on for as long
                as there is something newer to write.
            retry_pause: Seconds until the task is executed again if Firebase cannot be reached.

        Raises:
            Unfinished: Something is left to write.
        """
        result = StoreResult()
        holder = self._register.new_holder(task)
        for are_orders in (False, True):
            group = [one for one in candidates if one.update.is_order == are_orders]
            kept_orders = self._kept_orders if are_orders else None
            if kept_orders:
                kept_orders.prepare(update.symbol for update, _ in group)
            outcomes = self._register.propose(group, holder, resumed=resumed, by_time=by_time)
            writes = [outcome.write for outcome in outcomes if outcome.write is not None]
            if kept_orders:
                writes = kept_orders.make_room(writes, holder)
            self._write_all(outcomes, writes, holder, result, will_retry, retry_pause)
        return result

    def _write_all(
        self,
        outcomes: Sequence[ProposalOutcome],
        writes: Sequence[Write],
        holder: str,
        result: StoreResult,
        will_retry: bool,
        retry_pause: float,
    ) -> None:
        """Write what was proposed, and what others propose meanwhile; arguments as for `store`."""
        statuses = [outcome.status for outcome in outcomes]
        result.current += statuses.count(ProposalStatus.CURRENT)
        result.held += statuses.count(ProposalStatus.HELD)
        rounds = 0
        while writes:
            if will_retry and rounds == MAX_ROUNDS:
                self._register.extend(writes, holder, RETRY_MARGIN, outcome_unknown=False)
                raise Unfinished(f"{len(writes)} values change faster than they are stored", 0.0)
            rounds += 1
            newer: list[Write] = []
            requests = _requests(writes)
            for number, request in enumerate(requests):
                try:
                    written, refused = self._write(request, result)
                except RetryLater as error:
                    left = [*newer, *chain.from_iterable(requests[number:])]
                    unknown = isinstance(error, OutcomeUnknown)
                    pause = retry_pause if error.retry_after is None else error.retry_after
                    if will_retry:
                        seconds = pause + RETRY_MARGIN
                        self._register.extend(left, holder, seconds, outcome_unknown=unknown)
                    else:
                        self._register.release(left, holder, outcome_unknown=unknown)
                    raise Unfinished(str(error), pause) from None
                # Values that others have proposed meanwhile are ours to write, too.
                newer += self._register.confirm(written, holder, refused)
            writes = newer
        if ProposalStatus.HELD_BY_THIS_TASK in statuses:
            pause = max(
                outcome.held_seconds
                for outcome in outcomes
                if outcome.status == ProposalStatus.HELD_BY_THIS_TASK
            )
            raise Unfinished("an earlier execution of this task died, or is still running", pause)

    def _write(
        self, writes: Sequence[Write], result: StoreResult
    ) -> tuple[Sequence[Write], Sequence[Write]]:
        """Write all that Firebase takes; return the writes that it took, and those it refused.

        One refused value fails the whole request. Halving finds it in a few requests.
        """
        updates = [write.update for write in writes]
        try:
            self._firebase.store_many(updates)
        except GiveUp as error:
            if len(writes) == 1:
                self._note_refusal(writes[0], error, result)
                return [], writes
            middle = len(writes) // 2
            written, refused = self._write(writes[:middle], result)
            more_written, more_refused = self._write(writes[middle:], result)
            return [*written, *more_written], [*refused, *more_refused]
        result.written += updates
        return writes, []

    def _note_refusal(self, write: Write, error: GiveUp, result: StoreResult) -> None:
        if isinstance(error, Outdated) and not self._register.is_newest(write):
            # A newer value has been stored since we took the lease: nothing is lost.
            result.current += 1
        else:
            self._failed_stores.add(write.update, str(error))
            result.refused.append((write.update, error))


def _requests(writes: Sequence[Write]) -> list[list[Write]]:
    """Divide writes into requests of MAX_REQUEST_BYTES or less."""
    requests: list[list[Write]] = []
    size = 0
    for write in writes:
        size += write.size
        if not requests or size > MAX_REQUEST_BYTES:
            requests.append([])
            size = write.size
        requests[-1].append(write)
    return requests
