"""The latest-value register: which value of a slot is the newest, and who may write it now.

A slot is one key of one symbol. For each, Redis holds the newest value under a revision that only
grows, the revision that is stored in Firebase, and a lease. The holder of the lease writes the
newest value, then checks for a newer one, until the newest is stored. A task that finds the slot
held leaves its value to the holder, and ends. So writes to one slot never overlap, and a burst
folds into few of them.

A slot whose newest value is not stored is open. It becomes overdue when its lease ends without a
word from the holder, so a lost task, wherever it was lost, delays its slot and no more.
"""

import json
import uuid
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from app.delivery.conflating_queue import Slot
from app.delivery.proposals import (
    Candidate,
    Confirmed,
    ProposalOutcome,
    ProposalStatus,
    Refusal,
    Standing,
    Write,
)
from app.domain import ORDERS, Update
from app.messaging import connect, reaching
from app.settings import Settings

LEASE_SECONDS = 15.0
"""How long a write may take. A request to Firebase ends, or fails, well before."""

GRACE_SECONDS = 15.0
"""How long an announced value may wait for a task to take the lease before it is overdue."""

LONGEST_WRITE_SECONDS = 60.0
"""How long after its timeout a write may still land."""

SLOT_TTL_SECONDS = 8 * 86_400
"""An untouched slot is forgotten after this: its day is over, its order is done."""

ORDERS_TTL_SECONDS = 86_400
"""After this the ids of a symbol's orders are read anew from Firebase, whatever happened there."""

ANY_REVISION = 0
"""The revision of a candidate that has no value and only names a slot."""

MAX_REVISION = 2**52
"""The highest revision of a candidate, as a time in the year 2112. The scripts compare revisions
as doubles. Far above this, different ones compare as equal, and a new value would pass for stored.
"""

_NO_BREAK_SPACE = "\u00a0"

SCRIPTS = (
    *("announce", "overdue", "take_orders"),
    *("propose", "retire_orders", "renew", "confirm", "extend", "release"),
)
Argument = str | bytes | int
"""What is passed to a script."""

_FOLDER = Path(__file__).with_name("lua")


class LatestValueRegister:
    """The slots in Redis. Every method raises RetryLater if Redis cannot be used.

    All slots of one call are those of orders, or none is.

    Args:
        settings: Where Redis is, and the names there.
        client: What runs the scripts, in place of a connection to that Redis.
    """

    def __init__(self, settings: Settings, client: Any = None) -> None:
        self._url = settings.redis_url
        self._names = settings.names
        self._client = client or connect(self._url)
        self._scripts = {name: self._client.register_script(script(name)) for name in SCRIPTS}

    @staticmethod
    def new_holder(task: str) -> str:
        """Return a holder's name for one execution of a task."""
        return f"{task}/{uuid.uuid4().hex[:12]}"

    def announce(self, updates: Sequence[Update]) -> list[Candidate]:
        """Make values the newest of their slots, before any task is asked to store them.

        Each gets a revision above all before it: the time in microseconds, or more.

        Returns:
            The values to store: those that are not stored already.
        """
        # Orders wait until they are taken.
        grace = 0.0 if _are_orders(updates) else GRACE_SECONDS
        arguments: list[Argument] = [SLOT_TTL_SECONDS, _ms(grace)]
        for update in updates:
            arguments += [_text(update), _fingerprint(update)]
        keys = [self._names.revision, *map(self._slot, updates)]
        revisions = self._run("announce", keys, arguments, orders=_are_orders(updates))
        candidates = zip(updates, map(int, revisions), strict=True)
        return [Candidate(update, revision) for update, revision in candidates if revision]

    def overdue(self, limit: int) -> list[Candidate]:
        """Return up to `limit` values that should be stored by now and are not.

        Each is returned once in GRACE_SECONDS.
        """
        found = self._candidates(self._run("overdue", [], [limit, _ms(GRACE_SECONDS)]))
        orders = [self._slot(update) for update, _ in found if update.is_order]
        if orders:
            # Former versions had them among the others.
            with reaching(self._url):
                self._client.zadd(self._names.open_orders, dict.fromkeys(orders, 0), nx=True)
                self._client.zrem(self._names.open_slots, *orders)
        return [candidate for candidate in found if not candidate.update.is_order]

    def take_orders(self, limit: int, most_bytes: int) -> tuple[list[Candidate], int]:
        """Return the open orders whose turn it is, oldest first; none while others are on the way.

        So a flood of orders waits here, and what workers have of it is bounded. What is taken and
        not stored is returned again after GRACE_SECONDS.

        Args:
            limit: The most orders to return.
            most_bytes: The most that their values may have together. One is returned in any case.

        Returns:
            The orders, and how many are open, these included.
        """
        arguments = [limit, _ms(GRACE_SECONDS), most_bytes]
        count, taken = self._run("take_orders", [], arguments, orders=True)
        return self._candidates(taken), count

    def propose(
        self,
        candidates: Sequence[Candidate],
        holder: str,
        *,
        resumed: bool,
        by_time: bool = False,
        force: bool = False,
    ) -> list[ProposalOutcome]:
        """Propose values, and take the lease of each slot that has something to write.

        Args:
            candidates: One per slot.
            holder: A name from `new_holder`.
            resumed: Whether the task may have proposed these before; its value then wins no tie.
            by_time: Whether the revisions are the values' own times. Of two values of one time,
                the one that is proposed later is the newer, and written even if they are equal.
            force: Whether to take the lease of slots, too, that wait because they were refused.
        """
        arguments: list[Argument] = [holder, _ms(LEASE_SECONDS), SLOT_TTL_SECONDS]
        arguments += [int(resumed), int(by_time), int(force)]
        for update, revision in candidates:
            if revision == ANY_REVISION:
                # What an empty slot has, so that it changes nothing there either.
                arguments += [ANY_REVISION, "", ""]
            else:
                arguments += [revision, _text(update), _fingerprint(update)]
        return self._outcomes("propose", [update for update, _ in candidates], arguments)

    def renew(self, writes: Sequence[Write], holder: str) -> None:
        """Renew the leases of a holder who is still at work."""
        self._run_on("renew", [write.update for write in writes], [holder, _ms(LEASE_SECONDS)])

    def confirm(
        self,
        written: Sequence[Write],
        holder: str,
        refused: Sequence[tuple[Write, Refusal]] = (),
        kinds: Collection[str] = (),
    ) -> Confirmed:
        """Record the results of writes.

        Args:
            written: What Firebase has taken.
            holder: The holder of the leases.
            refused: What it has not taken. These slots wait, longer each time, before they are
                tried again: with a newer value, or the same if an operator can help.
            kinds: Kinds of which all slots are refused, and wait together.
        """
        arguments: list[Argument] = [holder, _ms(LEASE_SECONDS), " ".join(kinds)]
        for write in written:
            arguments += [write.revision, write.fingerprint, "written"]
        for write, refusal in refused:
            arguments += [write.revision, write.fingerprint, refusal.value]
        updates = [write.update for write in (*written, *(write for write, _ in refused))]
        paused, replies = self._run_on("confirm", updates, arguments)
        outcomes = [
            _outcome(update, *reply) for update, reply in zip(updates, replies, strict=True)
        ]
        newer = [outcome.write for outcome in outcomes if outcome.write is not None]
        return Confirmed(newer, [kind.decode() for kind in paused])

    def retire_orders(
        self, orders: str, symbol: str, writes: Sequence[Write], holder: str, kept: int, most: int
    ) -> list[Write]:
        """Note the orders that are written, and have the oldest of the symbol give way to them.

        Args:
            orders: The sorted set with the ids of the symbol's orders.
            symbol: The symbol.
            writes: Some of its orders, without removals.
            holder: The holder of their leases.
            kept: How many orders are kept.
            most: How many give way at most.

        Returns:
            The writes that remove orders: the holder has their leases. One of them may take the
            place of a write that was given.
        """
        prefix = self._slot(Update(symbol, ORDERS, None))
        arguments: list[Argument] = [holder, _ms(LEASE_SECONDS), SLOT_TTL_SECONDS]
        arguments += [kept, most, ORDERS_TTL_SECONDS, prefix]
        arguments += [write.update.key.removeprefix(ORDERS) for write in writes]
        slots = [self._slot(write.update) for write in writes]
        removals = self._run("retire_orders", [orders, *slots], arguments, orders=True)
        return [
            Write(Update(symbol, ORDERS + id_.decode(), json.loads(value)), int(revision), "")
            for id_, revision, value in removals
        ]

    def extend(
        self, writes: Sequence[Write], holder: str, seconds: float, *, outcome_unknown: bool
    ) -> None:
        """Reserve slots for the retry of the same task.

        Args:
            writes: The writes that failed.
            holder: The holder of the leases.
            seconds: How long no other task may take them.
            outcome_unknown: Whether a write got no answer. The slots are then written once more
                when it can land no more, whatever is stored in them meanwhile.
        """
        arguments: list[Argument] = [holder, _ms(seconds), _longest_write(outcome_unknown)]
        self._run_on("extend", [write.update for write in writes], arguments)

    def release(self, writes: Sequence[Write], holder: str, *, outcome_unknown: bool) -> None:
        """Give up slots, which are overdue from now on; `outcome_unknown` as for `extend`."""
        arguments: list[Argument] = [holder, _longest_write(outcome_unknown)]
        self._run_on("release", [write.update for write in writes], arguments)

    def is_newest(self, write: Write) -> bool:
        """Whether its slot has no newer value by now."""
        with reaching(self._url):
            newest: Any = self._client.hget(self._slot(write.update), "rev")
        return int(newest or 0) <= write.revision

    def newest(self, slots: Sequence[Slot]) -> list[Any]:
        """Return the newest value of each slot, None where there is none."""
        with reaching(self._url):
            pipeline = self._client.pipeline(transaction=False)
            for symbol, key in slots:
                pipeline.hget(self._slot(Update(symbol, key, None)), "value")
            return [None if text is None else json.loads(text) for text in pipeline.execute()]

    def next_revision(self) -> int:
        """Return a revision above all so far: what is read after this may be proposed with it."""
        self.announce([])
        with reaching(self._url):
            revision: Any = self._client.get(self._names.revision)
        return int(revision)

    def _outcomes(
        self, name: str, updates: Sequence[Update], arguments: Sequence[Argument]
    ) -> list[ProposalOutcome]:
        if not updates:
            return []
        replies = self._run_on(name, updates, arguments)
        return [_outcome(update, *reply) for update, reply in zip(updates, replies, strict=True)]

    def _run_on(self, name: str, updates: Sequence[Update], arguments: Sequence[Argument]) -> Any:
        keys = [*map(self._slot, updates)]
        return self._run(name, keys, arguments, orders=_are_orders(updates))

    def _run(
        self,
        name: str,
        keys: Sequence[str],
        arguments: Sequence[Argument],
        *,
        orders: bool = False,
    ) -> Any:
        open_slots = self._names.open_orders if orders else self._names.open_slots
        with reaching(self._url):
            return self._scripts[name](keys=[open_slots, *keys], args=arguments)

    def _candidates(self, found: Sequence[tuple[bytes, bytes, bytes]]) -> list[Candidate]:
        return [
            Candidate(self._update_in(slot.decode(), json.loads(value)), int(revision))
            for slot, revision, value in found
        ]

    def _slot(self, update: Update) -> str:
        # The first blank ends the symbol. One inside a symbol becomes a no-break space, which no
        # symbol has, since it does not print.
        return f"{self._names.slot}{update.symbol.replace(' ', _NO_BREAK_SPACE)} {update.key}"

    def _update_in(self, slot: str, value: Any) -> Update:
        symbol, _, key = slot.removeprefix(self._names.slot).partition(" ")
        return Update(symbol.replace(_NO_BREAK_SPACE, " "), key, value)


def script(name: str) -> str:
    """Return the text of a script: `lua/common.lua`, then its own file. So it is one EVALSHA."""
    return "".join((_FOLDER / f"{part}.lua").read_text() for part in ("common", name))


def _outcome(update: Update, reply: bytes, *rest: bytes) -> ProposalOutcome:
    status = ProposalStatus(reply)
    if status == ProposalStatus.WRITE:
        revision, value, fingerprint, standing = rest
        newest = Update(update.symbol, update.key, json.loads(value))
        write = Write(newest, int(revision), fingerprint.decode(), len(value), Standing(standing))
        return ProposalOutcome(update, status, write)
    if status == ProposalStatus.REFUSED:
        update = update._replace(value=json.loads(rest[1] or b"null"))
    held = int(rest[0]) / 1000 if rest else 0.0
    return ProposalOutcome(update, status, held_seconds=held)


def _are_orders(updates: Sequence[Update]) -> bool:
    return bool(updates) and updates[0].is_order


_encode = json.JSONEncoder(sort_keys=True).encode


def _text(update: Update) -> str | bytes:
    """Return the value as JSON text, the same text for the same value."""
    return bytes(update.value) if isinstance(update.value, msgspec.Raw) else _encode(update.value)


def _fingerprint(update: Update) -> str:
    """Return what must differ from the stored value's to be worth a write; empty: always write."""
    if update.key == "price" and isinstance(update.value, dict):
        with suppress(KeyError, TypeError, ValueError):
            return repr(float(update.value["price"]))
    return ""


def _longest_write(outcome_unknown: bool) -> int:
    return _ms(LONGEST_WRITE_SECONDS) if outcome_unknown else 0


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
