"""Newest wins: which value of a slot is the newest, and who may write it now.

A slot is one key of one symbol. Redis holds for it the newest value, under a revision that only
grows; the revision that is stored; and a lease. Who holds the lease writes the newest value there
is, and looks again until stored = newest. Who finds it held has put the value in good hands, and
ends. So writes of one slot never overlap, and a burst folds into few of them.

A slot that is not stored yet is open, and has a time at which somebody must look: the end of its
lease, if nobody comes back from it. So a task that was lost, wherever, delays its slot and no more.
"""

import json
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

import msgspec

from app.channels import FAILED_STORES, KEY_PREFIX, OPEN_SLOTS
from app.delivery import lua_scripts as newest_scripts
from app.domain import Update
from app.messaging import connect, reaching

LEASE_SECONDS = 15.0
"""How long a write may be under way. A request to Firebase ends well before, or fails."""

_REVISION = KEY_PREFIX + "revision"
_SLOT_PREFIX = KEY_PREFIX + "newest:"

GRACE_SECONDS = 15.0
"""How long after it was announced a value may be without a task that has taken it on."""

LONGEST_WRITE_SECONDS = 60.0
"""How long after its timeout a write may still land."""

SLOT_KEPT_SECONDS = 8 * 86_400
"""A slot that nobody touched for so long is forgotten: its day is over, its order is done."""

FAILED_KEPT = 1_000
"""How many stores that failed for good are kept, the newest."""


class ProposalStatus(IntEnum):
    """What became of a candidate that needs no writing by us."""

    DONE = 1
    """The newest value is stored already."""
    HELD = 2
    """Another task writes the slot, and will write the newest value."""
    MINE = 3
    """An earlier execution of the same task writes it, or died doing so."""


class Candidate(NamedTuple):
    """A value for a slot; the higher revision is the newer value.

    With the revision ANY it has no value of its own: whatever was announced is to be stored.
    """

    update: Update
    revision: int


ANY = 0
"""The revision of a candidate that only names a slot."""

HIGHEST = 2**52
"""The highest revision that a candidate may have: time until 2112. The scripts compare revisions
as doubles, which far above are alike: what came later would pass for what is stored."""


@dataclass(frozen=True)
class Write:
    """A slot whose lease we hold, and the newest value to write there."""

    update: Update
    revision: int
    fingerprint: str


@dataclass(frozen=True)
class ProposalOutcome:
    """What a candidate led to: a write for us to do, or its status."""

    write: Write | None
    status: ProposalStatus = ProposalStatus.DONE
    seconds: float = 0.0
    """How long the slot stays held, unless its holder goes on."""


class LatestValueRegister:
    """The slots, in Redis. Every method raises RetryLater when Redis cannot be reached."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = connect(url)
        self._propose = self._client.register_script(newest_scripts.PROPOSE)
        self._confirm = self._client.register_script(newest_scripts.CONFIRM)
        self._let_go = self._client.register_script(newest_scripts.LET_GO)
        self._announce = self._client.register_script(newest_scripts.ANNOUNCE)
        self._overdue = self._client.register_script(newest_scripts.OVERDUE)

    @staticmethod
    def holder(task: str) -> str:
        """A new holder's name for one execution of a task."""
        return f"{task}/{uuid.uuid4().hex[:12]}"

    def announce(self, updates: Sequence[Update]) -> list[Candidate]:
        """Make values the newest of their slots, before anybody is asked to store them.

        Each gets a revision above all before it: the time in microseconds, or more.

        Returns:
            What there is to store, less what is stored already.
        """
        arguments: list[str | bytes | int] = [SLOT_KEPT_SECONDS, _ms(GRACE_SECONDS)]
        for update in updates:
            arguments += [_text(update), _fingerprint(update)]
        with reaching(self._url):
            keys = [OPEN_SLOTS, _REVISION, *map(_slot, updates)]
            revisions = [int(found) for found in self._announce(keys=keys, args=arguments)]
        candidates = zip(updates, revisions, strict=True)
        return [Candidate(update, revision) for update, revision in candidates if revision]

    def overdue(self, limit: int) -> list[Candidate]:
        """Up to `limit` values whose time has come to look, because nobody stored them.

        Each is given out once in GRACE_SECONDS.
        """
        with reaching(self._url):
            found = self._overdue(keys=[OPEN_SLOTS], args=[limit, _ms(GRACE_SECONDS)])
        return [
            Candidate(_update_of(slot.decode(), json.loads(value)), int(revision))
            for slot, revision, value in found
        ]

    def propose(
        self, candidates: Sequence[Candidate], holder: str, *, resumed: bool, by_time: bool = False
    ) -> list[ProposalOutcome]:
        """Propose values, and take the lease of each slot that has something to write.

        Args:
            candidates: one per slot.
            holder: from `holder`.
            resumed: the task has proposed these before; its value wins no tie.
            by_time: the revisions are the values' own times; of one time, the later proposed is the
                newer, and it is written also if it is the same.
        """
        limits = [_ms(LEASE_SECONDS), SLOT_KEPT_SECONDS, int(resumed), int(by_time)]
        arguments: list[str | bytes | int] = [holder, *limits]
        for update, revision in candidates:
            if revision == ANY:
                # As an empty slot is: nothing is set, and where nothing is known nothing written.
                arguments += [ANY, "", ""]
            else:
                arguments += [revision, _text(update), _fingerprint(update)]
        updates = [propose.update for propose in candidates]
        return self._answers(self._propose, updates, arguments)

    def confirm(
        self, writes: Sequence[Write], holder: str, refused: Sequence[Write] = ()
    ) -> list[Write]:
        """Note what was written; what there is to write by now, in the same slots.

        Args:
            writes: what was written.
            holder: who wrote.
            refused: what will never be taken; its slots stay as they are unless there is a newer
                value.
        """
        arguments: list[str | int] = [holder, _ms(LEASE_SECONDS)]
        for write in writes:
            arguments += [write.revision, write.fingerprint, "written"]
        for write in refused:
            arguments += [write.revision, write.fingerprint, "refused"]
        updates = [write.update for write in (*writes, *refused)]
        answers = self._answers(self._confirm, updates, arguments)
        return [answer.write for answer in answers if answer.write is not None]

    def extend(
        self, writes: Sequence[Write], holder: str, seconds: float, *, outcome_unknown: bool = False
    ) -> None:
        """Keep slots for `seconds`, for the retry of the same task.

        Args:
            writes: the slots.
            holder: who holds them.
            seconds: how long no other task may take them.
            outcome_unknown: a write got no answer: the slots are stored once more when it can
                land no more, whatever is stored in them meanwhile.
        """
        self._end(writes, holder, "keep", seconds, outcome_unknown=outcome_unknown)

    def release(
        self, writes: Sequence[Write], holder: str, *, outcome_unknown: bool = False
    ) -> None:
        """Leave slots to whoever looks next; `outcome_unknown` as for `keep`."""
        self._end(writes, holder, "give", 0, outcome_unknown=outcome_unknown)

    def _end(
        self,
        writes: Sequence[Write],
        holder: str,
        what: str,
        seconds: float,
        *,
        outcome_unknown: bool,
    ) -> None:
        if writes:
            doubt = _ms(LONGEST_WRITE_SECONDS) if outcome_unknown else 0
            with reaching(self._url):
                keys = [OPEN_SLOTS, *(_slot(write.update) for write in writes)]
                self._let_go(keys=keys, args=[holder, what, _ms(seconds), doubt])

    def is_newest(self, write: Write) -> bool:
        """Whether its slot has nothing newer by now."""
        with reaching(self._url):
            found: Any = self._client.hget(_slot(write.update), "rev")
        return int(found or 0) <= write.revision

    def next_revision(self) -> int:
        """A revision that none is above so far: what is read after it may be proposed with it."""
        self.announce([])
        with reaching(self._url):
            found: Any = self._client.get(_REVISION)
        return int(found)

    def keep_failed(self, update: Update, reason: str, now: str) -> None:
        """Keep a store that failed for good, where an operator finds it, under an id of its own."""
        kept = {"id": uuid.uuid4().hex[:8], "at": now, **update._asdict(), "reason": reason}
        entry = json.dumps(kept)
        with reaching(self._url):
            pipeline = self._client.pipeline()
            pipeline.lpush(FAILED_STORES, entry)
            pipeline.ltrim(FAILED_STORES, 0, FAILED_KEPT - 1)
            pipeline.execute()

    def _answers(
        self, script: Any, updates: Sequence[Update], arguments: Sequence[str | bytes | int]
    ) -> list[ProposalOutcome]:
        if not updates:
            return []
        with reaching(self._url):
            answers = script(keys=[OPEN_SLOTS, *map(_slot, updates)], args=arguments)
        return [_answer(update, *found) for update, found in zip(updates, answers, strict=True)]


def _answer(update: Update, status: bytes, *rest: bytes) -> ProposalOutcome:
    if status == b"write":
        revision, value, fingerprint = rest
        newest = Update(update.symbol, update.key, json.loads(value))
        return ProposalOutcome(Write(newest, int(revision), fingerprint.decode()))
    if status == b"done":
        return ProposalOutcome(None)
    held_by = ProposalStatus.MINE if status == b"mine" else ProposalStatus.HELD
    return ProposalOutcome(None, held_by, int(rest[0]) / 1000)


def _slot(update: Update) -> str:
    # No symbol has a blank in it.
    return f"{_SLOT_PREFIX}{update.symbol} {update.key}"


def _update_of(slot: str, value: Any) -> Update:
    symbol, _, key = slot.removeprefix(_SLOT_PREFIX).partition(" ")
    return Update(symbol, key, value)


_encode = json.JSONEncoder(sort_keys=True).encode


def _text(update: Update) -> str | bytes:
    """The value in one spelling, so that the same value is the same text."""
    return bytes(update.value) if isinstance(update.value, msgspec.Raw) else _encode(update.value)


def _fingerprint(update: Update) -> str:
    """What must differ from the stored value's for a write to be worth it; empty: always write."""
    if update.key == "price" and isinstance(update.value, dict):
        with suppress(KeyError, TypeError, ValueError):
            return repr(float(update.value["price"]))
    return ""


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
