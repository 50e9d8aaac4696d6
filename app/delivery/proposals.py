"""What tasks propose to the latest-value register, what it answers, and what they tell it then."""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from app.domain import Update


class ProposalStatus(Enum):
    """What became of a candidate. The values are what the scripts return."""

    WRITE = b"write"
    """We have the lease, and something to write."""
    CURRENT = b"current"
    """The newest value is stored."""
    HELD = b"held"
    """Another task has the lease, and will write the newest value."""
    HELD_BY_THIS_TASK = b"held by this task"
    """Another execution of this task has the lease, or died with it."""
    REFUSED = b"refused"
    """It waits because Firebase refuses it, or its kind, and is overdue after that."""


class Standing(Enum):
    """What Firebase said to a slot so far. The values are what the scripts return."""

    GOOD = b""
    REFUSED_BEFORE = b"refused before"
    """Firebase refused this slot at its last try."""
    ON_TRIAL = b"on trial"
    """Firebase refused one slot of its kind after the other, and nobody else tries now."""


class Refusal(Enum):
    """How a write failed for good. The values are what the scripts take."""

    DENIED = "denied"
    """Firebase denies it until an operator has corrected something."""
    REFUSED = "refused"
    """Firebase will never take this value: only a newer one is worth a write."""
    UNTRIED = "untried"
    """All others of its kind are refused, so it was not sent."""


class Candidate(NamedTuple):
    """A value for a slot; the higher revision is the newer value.

    With ANY_REVISION it only names the slot: what was announced for it is to be stored.
    """

    update: Update
    revision: int


@dataclass(frozen=True)
class Write:
    """The newest value of a slot whose lease we have."""

    update: Update
    revision: int
    fingerprint: str
    size: int = 0
    """Bytes of the value."""
    standing: Standing = Standing.GOOD


@dataclass(frozen=True)
class ProposalOutcome:
    """The status of a candidate, with its write or the time to wait."""

    update: Update
    status: ProposalStatus
    write: Write | None = None
    held_seconds: float = 0.0
    """When the lease of another holder ends, unless it is extended."""


class Confirmed(NamedTuple):
    """What there is to do after the results of writes are recorded."""

    newer: list[Write]
    """What is now to be written in the same slots."""
    paused: list[str]
    """Kinds that wait from now on, since all of them is refused."""


def kind_of(update: Update) -> str:
    """Return the kind of a slot, for which Firebase's rules are the same: `performance`, `orders`.

    The scripts find it in the same way.
    """
    return update.key.partition("/")[0]
