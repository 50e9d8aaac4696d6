"""Storing the newest value of some slots: what a task does, without Celery."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from app.delivery.register import Candidate, LatestValueRegister, ProposalStatus, Write
from app.domain import Update
from app.errors import GiveUp, OutcomeUnknown, Outdated, RetryLater

MAX_ROUNDS = 10
"""How often one task rounds again for something newer before it passes the rest on."""

RETRY_MARGIN = 15.0
"""Seconds beyond its pause for which a task that retries keeps its slots from others."""


class Firebase(Protocol):
    """What is needed of FirebaseClient here."""

    def store_many(self, updates: Sequence[Update]) -> None:
        """Store several values in one request."""


@dataclass
class Stored:
    """What a task did with its candidates."""

    written: list[Update] = field(default_factory=list)
    current: int = 0
    """Offers that were no newer than what is stored."""
    held: int = 0
    """Offers that another task will store."""
    refused: list[tuple[Update, GiveUp]] = field(default_factory=list)
    """Values that Firebase will never take, or not before an operator has been at it."""


class Unfinished(RetryLater):
    """Some slots are still to be stored, by another execution of the same task.

    Attributes:
        pause: seconds to wait before it.
    """

    def __init__(self, text: str, pause: float) -> None:
        super().__init__(text)
        self.pause = pause

    def __reduce__(self) -> tuple[type, tuple[str, float]]:
        return Unfinished, (str(self), self.pause)


def store_newest(
    candidates: Sequence[Candidate],
    *,
    register: LatestValueRegister,
    firebase: Firebase,
    task: str,
    resumed: bool = False,
    by_time: bool = False,
    pause: Callable[[], float] | None = None,
) -> Stored:
    """Propose values, and write what is newest in the slots that nobody else writes.

    Args:
        candidates: one per slot.
        register: who may write what.
        firebase: where it is written.
        task: the same for every execution of one task.
        resumed: this is a later execution of a task that has proposed these values before.
        by_time: the revisions are no more than the values' own times.
        pause: seconds after which the task is going to be executed again if Firebase cannot be
            reached; its slots are kept for it. None: it is not, and the slots are let go.

    Raises:
        Unfinished: something is left to write; with `pause`, execute the task again.
    """
    holder = register.holder(task)
    outcomes = register.propose(candidates, holder, resumed=resumed, by_time=by_time)
    writes = [outcome.write for outcome in outcomes if outcome.write is not None]
    stored = Stored(
        current=sum(
            outcome.write is None and outcome.status == ProposalStatus.DONE for outcome in outcomes
        ),
        held=sum(outcome.status == ProposalStatus.HELD for outcome in outcomes),
    )
    rounds = 0
    while writes and (rounds < MAX_ROUNDS or not pause):
        rounds += 1
        try:
            taken, refused = _write(writes, firebase, register, stored)
        except RetryLater as error:
            seconds = pause() if pause else 0.0
            unknown = isinstance(error, OutcomeUnknown)
            if pause:
                register.extend(writes, holder, seconds + RETRY_MARGIN, outcome_unknown=unknown)
            else:
                register.release(writes, holder, outcome_unknown=unknown)
            raise Unfinished(str(error), seconds) from None
        writes = register.confirm(taken, holder, refused)
    if writes:
        register.extend(writes, holder, RETRY_MARGIN)
        raise Unfinished(f"{len(writes)} values change faster than they are stored", 0.0)
    mine = [outcome.seconds for outcome in outcomes if outcome.status == ProposalStatus.MINE]
    if mine:
        raise Unfinished("an earlier execution of this task died, or is still at it", max(mine))
    return stored


def _write(
    writes: Sequence[Write], firebase: Firebase, register: LatestValueRegister, stored: Stored
) -> tuple[Sequence[Write], Sequence[Write]]:
    """Write all that Firebase takes; the writes that it took, and those that it refused.

    One value that it refuses fails a whole request: halving finds it in a few of them.
    """
    updates = [write.update for write in writes]
    try:
        firebase.store_many(updates)
    except GiveUp as error:
        if len(writes) == 1:
            if isinstance(error, Outdated) and not register.is_newest(writes[0]):
                # Somebody has stored a newer one since we took this one on.
                stored.current += 1
                return [], writes
            register.keep_failed(updates[0], str(error), datetime.now(UTC).isoformat())
            stored.refused.append((updates[0], error))
            return [], writes
        middle = len(writes) // 2
        taken, refused = _write(writes[:middle], firebase, register, stored)
        more_taken, more_refused = _write(writes[middle:], firebase, register, stored)
        return [*taken, *more_taken], [*refused, *more_refused]
    stored.written += updates
    return writes, []
