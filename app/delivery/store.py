"""Storing the newest values of slots: what a task does, without Celery."""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby
from typing import Any, Protocol

import structlog

from app.delivery.failed_stores import FailedStores
from app.delivery.kept_orders import KeptOrders
from app.delivery.proposals import (
    Candidate,
    ProposalOutcome,
    ProposalStatus,
    Refusal,
    Standing,
    Write,
    kind_of,
)
from app.delivery.register import LatestValueRegister
from app.domain import Update
from app.errors import Denied, GiveUp, Misconfigured, OutcomeUnknown, Outdated, RetryLater

log = structlog.stdlib.get_logger(__name__)

MAX_ROUNDS = 10
"""How often one execution of a task writes something newer before it leaves that to the next."""

MAX_REQUEST_BYTES = 256 * 1024
"""How much one request to Firebase writes. A larger value has a request of its own."""

RETRY_MARGIN = 15.0
"""Seconds beyond its pause for which a task that will be retried reserves its slots."""

_PARTS = 8
"""Into how many requests a refused one is split. One value of 500 is found by four refusals."""

_UNTRIED = "Firebase refuses this value, or all of its kind: it is tried again by itself"


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
    waiting: int = 0
    """Candidates that wait because Firebase refuses them, or all of their kind."""
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


@dataclass
class _Attempt:
    """What became of the writes of one request, so far.

    Args:
        writes: What to write.
        leased: All that the task holds, and has to renew if it takes long.
    """

    writes: Sequence[Write]
    leased: Sequence[Write]
    written: list[Write] = field(default_factory=list)
    refused: list[tuple[Write, Refusal, GiveUp]] = field(default_factory=list)
    kinds: dict[str, GiveUp] = field(default_factory=dict)
    """The kinds of which everything is refused, and why."""
    requests: int = 0

    @property
    def left(self) -> list[Write]:
        """What is neither written nor refused yet."""
        return self.left_of(self.writes)

    def left_of(self, writes: Sequence[Write]) -> list[Write]:
        """Return those of some writes that are neither written nor refused yet."""
        settled = {id(write) for write in self.written}
        settled.update(id(write) for write, _, _ in self.refused)
        return [write for write in writes if id(write) not in settled]

    def refuse(self, write: Write, error: GiveUp) -> None:
        refusal = Refusal.DENIED if isinstance(error, Misconfigured) else Refusal.REFUSED
        self.refused.append((write, refusal, error))

    def refuse_kind(self, writes: Iterable[Write], error: GiveUp) -> None:
        """Refuse writes of one kind without trying them: its rule is what is wrong."""
        for write in writes:
            self.refused.append((write, Refusal.UNTRIED, error))
            self.kinds[kind_of(write.update)] = error


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
        force: bool = False,
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
            force: Whether to try also what waits because Firebase refused it: an operator asks.

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
            outcomes = self._register.propose(
                group, holder, resumed=resumed, by_time=by_time, force=force
            )
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
        self._note_waiting(outcomes, result)
        refused_kinds: dict[str, GiveUp] = {}
        rounds = 0
        while writes:
            if will_retry and rounds == MAX_ROUNDS:
                self._register.extend(writes, holder, RETRY_MARGIN, outcome_unknown=False)
                raise Unfinished(f"{len(writes)} values change faster than they are stored", 0.0)
            rounds += 1
            newer: list[Write] = []
            requests = _requests(writes)
            for number, request in enumerate(requests):
                left = [*newer, *chain.from_iterable(requests[number:])]
                attempt = _Attempt(request, left)
                try:
                    self._write(attempt, holder, refused_kinds)
                except RetryLater as error:
                    newer += self._settle(attempt, holder, result)
                    left = [*newer, *attempt.left, *chain.from_iterable(requests[number + 1 :])]
                    unknown = isinstance(error, OutcomeUnknown)
                    pause = retry_pause if error.retry_after is None else error.retry_after
                    if will_retry:
                        seconds = pause + RETRY_MARGIN
                        self._register.extend(left, holder, seconds, outcome_unknown=unknown)
                    else:
                        self._register.release(left, holder, outcome_unknown=unknown)
                    raise Unfinished(str(error), pause) from None
                # Values that others have proposed meanwhile are ours to write, too.
                newer += self._settle(attempt, holder, result)
                refused_kinds |= attempt.kinds
            writes = newer
        if ProposalStatus.HELD_BY_THIS_TASK in statuses:
            pause = max(
                outcome.held_seconds
                for outcome in outcomes
                if outcome.status == ProposalStatus.HELD_BY_THIS_TASK
            )
            raise Unfinished("an earlier execution of this task died, or is still running", pause)

    def _write(self, attempt: _Attempt, holder: str, refused_kinds: Mapping[str, GiveUp]) -> None:
        """Write all that Firebase takes, in one request unless it has refused some before."""
        for write in attempt.writes:
            if error := refused_kinds.get(kind_of(write.update)):
                attempt.refused.append((write, Refusal.UNTRIED, error))
        for writes in _grouped(attempt.left, lambda write: write.standing.value):
            if writes[0].standing == Standing.ON_TRIAL:
                for kind in _by_kind(writes):
                    self._try_kind(kind, attempt, holder)
            else:
                self._write_group(writes, attempt, holder)

    def _write_group(
        self, writes: Sequence[Write], attempt: _Attempt, holder: str, *, is_part: bool = False
    ) -> None:
        """Write values in one request; find out what is wrong if Firebase refuses it.

        One refused value fails the whole request. If two that are sent alone are refused as well,
        it is not a value that is wrong, but the rule.
        """
        error = self._send(writes, attempt, holder)
        if error is None:
            return
        kinds = _by_kind(writes)
        if isinstance(error, Misconfigured) and not isinstance(error, Denied):
            # Whoever signs in so, or at such a URL, stores nothing at all.
            attempt.refuse_kind(writes, error)
        elif len(writes) == 1:
            attempt.refuse(writes[0], error)
        elif len(kinds) > 1:
            for kind in kinds:
                self._write_group(kind, attempt, holder, is_part=is_part)
        elif is_part or not self._is_kind_refused(writes, error, attempt, holder):
            rest = attempt.left_of(writes)
            size = -(-len(rest) // _PARTS)
            for start in range(0, len(rest), size or 1):
                part = rest[start : start + size]
                self._write_group(part, attempt, holder, is_part=True)

    def _is_kind_refused(
        self, writes: Sequence[Write], error: GiveUp, attempt: _Attempt, holder: str
    ) -> bool:
        """Send two values of a refused kind alone; return whether all of it is refused."""
        first, second = random.sample(writes, 2)
        if not isinstance(error, Denied) or first.standing != Standing.GOOD:
            return False
        if first.update.symbol == second.update.symbol:
            return False
        for write in (first, second):
            self._write_group([write], attempt, holder)
        is_refused = {id(write) for write, _, _ in attempt.refused} >= {id(first), id(second)}
        if is_refused:
            self._refuse_rest(writes, error, attempt)
        return is_refused

    def _try_kind(self, writes: Sequence[Write], attempt: _Attempt, holder: str) -> None:
        """Send one value of a kind that was refused; the others only if it is taken."""
        one = random.choice(writes)  # noqa: S311 - not a secret
        self._write_group([one], attempt, holder)
        denied = [error for write, _, error in attempt.refused if write is one]
        if denied and isinstance(denied[0], Misconfigured):
            self._refuse_rest(writes, denied[0], attempt)
        else:
            rest = [write for write in writes if write is not one]
            if rest:
                log.info("accepted_again", kind=kind_of(one.update), waiting=len(rest))
                self._write_group(rest, attempt, holder)

    @staticmethod
    def _refuse_rest(writes: Sequence[Write], error: GiveUp, attempt: _Attempt) -> None:
        attempt.kinds[kind_of(writes[0].update)] = error
        attempt.refuse_kind(attempt.left_of(writes), error)

    def _send(self, writes: Sequence[Write], attempt: _Attempt, holder: str) -> GiveUp | None:
        """Send one request; return why Firebase refuses it."""
        if attempt.requests:
            # Each request may take nearly a lease.
            self._register.renew(attempt.leased, holder)
        attempt.requests += 1
        try:
            self._firebase.store_many([write.update for write in writes])
        except GiveUp as error:
            return error
        attempt.written += writes
        return None

    def _note_waiting(self, outcomes: Sequence[ProposalOutcome], result: StoreResult) -> None:
        """List what is not tried, so that an operator sees all that is not stored."""
        waiting = [
            outcome.update for outcome in outcomes if outcome.status == ProposalStatus.REFUSED
        ]
        result.waiting += len(waiting)
        self._failed_stores.add([(update, _UNTRIED) for update in waiting], is_new=False)

    def _settle(self, attempt: _Attempt, holder: str, result: StoreResult) -> list[Write]:
        """Record what became of a round; return what is newer by now."""
        refused = [(write, refusal) for write, refusal, _ in attempt.refused]
        outdated = [
            write
            for write, _, error in attempt.refused
            if isinstance(error, Outdated) and not self._register.is_newest(write)
        ]
        newer, paused = self._register.confirm(attempt.written, holder, refused, attempt.kinds)
        result.written += [write.update for write in attempt.written]
        # A newer value has been stored since we took the lease: nothing is lost.
        result.current += len(outdated)
        lost = [
            (write.update, error) for write, _, error in attempt.refused if write not in outdated
        ]
        result.refused += lost
        self._failed_stores.add((update, str(error)) for update, error in lost)
        self._failed_stores.forget(
            [write.update for write in attempt.written if write.standing != Standing.GOOD]
        )
        for kind in paused:
            log.warning("refused", kind=kind, reason=attempt.refused[-1][2])
        return newer


def _by_kind(writes: Sequence[Write]) -> list[list[Write]]:
    return _grouped(writes, lambda write: kind_of(write.update))


def _grouped(writes: Sequence[Write], key: Callable[[Write], Any]) -> list[list[Write]]:
    return [list(group) for _, group in groupby(sorted(writes, key=key), key)]


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
