"""Newest wins: which value of a slot is the newest, and who may write it now.

A slot is one key of one symbol. Redis holds for it the newest value, under a revision that only
grows; the revision that is stored; and a lease. Who holds the lease writes the newest value there
is, and looks again until stored = newest. Who finds it held has put the value in good hands, and
ends. So writes of one slot never overlap, and a burst folds into few of them.

A slot that is not stored yet is open, and has a time at which somebody must look: the end of its
lease, if nobody comes back from it. So a task that was lost, wherever, delays its slot and no more.
"""

import hashlib
import json
import uuid
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

import redis

from app.channels import FAILED_STORES, KEY_PREFIX
from app.messages import Update
from app.redis_client import connect, reaching

LEASE_SECONDS = 15.0
"""How long a write may be under way. A request to Firebase ends well before, or fails."""

_OPEN = KEY_PREFIX + "open"
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

# In all scripts KEYS[1] is the sorted set of open slots, by the time (ms) at which to look, and the
# other KEYS are slots. A holder is "<task>/<execution>", and "<task>/" while the task waits for
# its retry: no other task may take the slot then, but any execution of this one.
_COMMON = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local open = KEYS[1]
local function read(slot)
  local v = redis.call('HMGET', slot, 'rev', 'value', 'tag', 'stored', 'stored_tag',
                       'holder', 'until', 'again', 'doubt')
  return {rev = v[1] or '0', value = v[2] or '', tag = v[3] or '', stored = v[4] or '0',
          stored_tag = v[5] or '', holder = v[6] or '', till = tonumber(v[7] or '0'),
          again = v[8], doubt = tonumber(v[9] or '0')}
end
local function set_newest(slot, s, rev, value, tag)
  redis.call('HSET', slot, 'rev', rev, 'value', value, 'tag', tag)
  s.rev, s.value, s.tag = rev, value, tag
end
local function is_done(s)
  return not s.again and (s.doubt == 0 or now < s.doubt)
         and (tonumber(s.stored) >= tonumber(s.rev) or (s.tag ~= '' and s.tag == s.stored_tag))
end
local function take(slot, s, holder, lease)
  -- From here on nobody knows which of two values is stored, until the write is confirmed.
  redis.call('HSET', slot, 'holder', holder, 'until', now + lease)
  redis.call('HDEL', slot, 'again', 'stored_tag')
  if s.doubt ~= 0 and now >= s.doubt then
    redis.call('HDEL', slot, 'doubt')
  end
  redis.call('ZADD', open, now + lease, slot)
  return {'write', s.rev, s.value, s.tag}
end
local function close(slot, s)
  redis.call('HDEL', slot, 'holder', 'until')
  if s.doubt ~= 0 then
    redis.call('ZADD', open, s.doubt, slot)
  else
    redis.call('ZREM', open, slot)
  end
  return {'done'}
end
"""

# KEYS[2]: the last revision, then slots. ARGV: keep s, grace ms, then per slot: value, tag
_ANNOUNCE = (
    _COMMON
    + """
local last = tonumber(redis.call('GET', KEYS[2]) or '0')
local next = math.max(last + 1, time[1] * 1000000 + time[2])
redis.call('SET', KEYS[2], string.format('%d', next))
local answers = {}
for i = 3, #KEYS do
  local slot, s = KEYS[i], read(KEYS[i])
  -- A direct call may have brought a time that is ahead of ours.
  local rev = string.format('%d', math.max(next, tonumber(s.rev) + 1))
  set_newest(slot, s, rev, ARGV[2 * i - 3], ARGV[2 * i - 2])
  redis.call('EXPIRE', slot, ARGV[1])
  local held = s.till > now
  if not held and is_done(s) then
    close(slot, s)
    rev = '0'
  elseif not held then
    redis.call('ZADD', open, now + tonumber(ARGV[2]), slot)
  end
  answers[i - 2] = rev
end
return answers
"""
)

# ARGV: holder, lease ms, keep s, resumed, then per slot: rev, value, tag
_OFFER = (
    _COMMON
    + """
local holder, lease, keep, resumed = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4] == '1'
local task = string.match(holder, '^(.*)/')
local answers = {}
for i = 2, #KEYS do
  local slot, s = KEYS[i], read(KEYS[i])
  local rev, value, tag = ARGV[3 * i - 1], ARGV[3 * i], ARGV[3 * i + 1]
  local offered, known = tonumber(rev), tonumber(s.rev)
  if offered == known and value ~= s.value and not resumed then
    rev = string.format('%d', known + 1)
    offered = known + 1
  end
  if offered > known then
    set_newest(slot, s, rev, value, tag)
  end
  redis.call('EXPIRE', slot, keep)
  if s.till > now and s.holder ~= task .. '/' then
    local mine = string.match(s.holder, '^(.*)/') == task
    answers[i - 1] = {mine and 'mine' or 'held', tostring(s.till - now)}
  elseif is_done(s) then
    answers[i - 1] = close(slot, s)
  else
    answers[i - 1] = take(slot, s, holder, lease)
  end
end
return answers
"""
)

# ARGV: holder, lease ms, then per slot: rev, tag, and whether they were written or refused
_CONFIRM = (
    _COMMON
    + """
local holder, lease = ARGV[1], tonumber(ARGV[2])
local answers = {}
for i = 2, #KEYS do
  local slot, s = KEYS[i], read(KEYS[i])
  local rev, tag, refused = ARGV[3 * i - 3], ARGV[3 * i - 2], ARGV[3 * i - 1] == 'refused'
  if s.holder ~= holder and s.till > now then
    -- Our lease ran out, and this write may have landed over the new holder's.
    redis.call('HSET', slot, 'again', '1')
    answers[i - 1] = {'done'}
  elseif s.holder ~= holder then
    answers[i - 1] = take(slot, s, holder, lease)
  elseif refused and not s.again and tonumber(s.rev) <= tonumber(rev) then
    answers[i - 1] = close(slot, s)
  elseif refused then
    answers[i - 1] = take(slot, s, holder, lease)
  else
    redis.call('HSET', slot, 'stored', rev, 'stored_tag', tag)
    s.stored, s.stored_tag = rev, tag
    answers[i - 1] = is_done(s) and close(slot, s) or take(slot, s, holder, lease)
  end
end
return answers
"""
)

# ARGV: holder; keep or give; ms: for which the task keeps the slots; ms after which a
# write that was perhaps under way can land no more (0: there is none)
_LET_GO = (
    _COMMON
    + """
local holder, what, keep, doubt = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
for i = 2, #KEYS do
  local slot, s = KEYS[i], read(KEYS[i])
  if doubt ~= 0 then
    s.doubt = now + doubt
    redis.call('HSET', slot, 'doubt', s.doubt)
  end
  if s.holder ~= holder then
    -- It is somebody else's by now.
  elseif what == 'keep' then
    redis.call('HSET', slot, 'holder', string.match(holder, '^(.*)/') .. '/', 'until', now + keep)
    redis.call('ZADD', open, now + keep, slot)
  else
    redis.call('HDEL', slot, 'holder', 'until')
    redis.call('ZADD', open, now, slot)
  end
end
"""
)

# ARGV: how many at the most, grace ms
_OVERDUE = (
    _COMMON
    + """
local answers = {}
for _, slot in ipairs(redis.call('ZRANGEBYSCORE', open, '-inf', now, 'LIMIT', 0, ARGV[1])) do
  local s = read(slot)
  if s.value == '' then
    redis.call('ZREM', open, slot)
  else
    redis.call('ZADD', open, now + tonumber(ARGV[2]), slot)
    answers[#answers + 1] = {slot, s.rev, s.value}
  end
end
return answers
"""
)


class Standing(IntEnum):
    """What became of an offer that needs no writing by us."""

    DONE = 1
    """The newest value is stored already."""
    HELD = 2
    """Another task writes the slot, and will write the newest value."""
    MINE = 3
    """An earlier execution of the same task writes it, or died doing so."""


class Offer(NamedTuple):
    """A value for a slot; the higher revision is the newer value."""

    update: Update
    revision: int


@dataclass(frozen=True)
class Write:
    """A slot whose lease we hold, and the newest value to write there."""

    update: Update
    revision: int
    tag: str


@dataclass(frozen=True)
class Answer:
    """What an offer led to: a write for us to do, or its standing."""

    write: Write | None
    standing: Standing = Standing.DONE
    seconds: float = 0.0
    """How long the slot stays held, unless its holder goes on."""


class NewestRegister:
    """The slots, in Redis. Every method raises RetryLater when Redis cannot be reached."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = connect(url)
        self._offer = self._client.register_script(_OFFER)
        self._confirm = self._client.register_script(_CONFIRM)
        self._let_go = self._client.register_script(_LET_GO)
        self._announce = self._client.register_script(_ANNOUNCE)
        self._overdue = self._client.register_script(_OVERDUE)

    @staticmethod
    def holder(task: str) -> str:
        """A new holder's name for one execution of a task."""
        return f"{task}/{uuid.uuid4().hex[:12]}"

    def announce(self, updates: Sequence[Update]) -> list[Offer]:
        """Make values the newest of their slots, before anybody is asked to store them.

        Each gets a revision above all before it: the time in microseconds, or more.

        Returns:
            What there is to store, less what is stored already.
        """
        arguments: list[str | int] = [SLOT_KEPT_SECONDS, _ms(GRACE_SECONDS)]
        for update in updates:
            arguments += [_text(update), _tag(update)]
        with reaching(self._url):
            keys = [_OPEN, _REVISION, *map(_slot, updates)]
            revisions = [int(found) for found in self._announce(keys=keys, args=arguments)]
        offers = zip(updates, revisions, strict=True)
        return [Offer(update, revision) for update, revision in offers if revision]

    def overdue(self, limit: int) -> list[Offer]:
        """Up to `limit` values whose time has come to look, because nobody stored them.

        Each is given out once in GRACE_SECONDS.
        """
        with reaching(self._url):
            found = self._overdue(keys=[_OPEN], args=[limit, _ms(GRACE_SECONDS)])
        return [
            Offer(_update_of(slot.decode(), json.loads(value)), int(revision))
            for slot, revision, value in found
        ]

    def offer(self, offers: Sequence[Offer], holder: str, *, resumed: bool) -> list[Answer]:
        """Offer values, and take the lease of each slot that has something to write.

        Args:
            offers: one per slot.
            holder: from `holder`.
            resumed: the task has offered these before; its value wins no tie.
        """
        arguments: list[str | int] = [holder, _ms(LEASE_SECONDS), SLOT_KEPT_SECONDS, int(resumed)]
        for offer in offers:
            arguments += [offer.revision, _text(offer.update), _tag(offer.update)]
        updates = [offer.update for offer in offers]
        return self._answers(self._offer, updates, arguments)

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
            arguments += [write.revision, write.tag, "written"]
        for write in refused:
            arguments += [write.revision, write.tag, "refused"]
        updates = [write.update for write in (*writes, *refused)]
        answers = self._answers(self._confirm, updates, arguments)
        return [answer.write for answer in answers if answer.write is not None]

    def keep(
        self, writes: Sequence[Write], holder: str, seconds: float, *, in_doubt: bool = False
    ) -> None:
        """Keep slots for `seconds`, for the retry of the same task.

        Args:
            writes: the slots.
            holder: who holds them.
            seconds: how long no other task may take them.
            in_doubt: a write got no answer; the slots are stored once more when it can land no
                more, whatever is stored in them meanwhile.
        """
        self._end(writes, holder, "keep", seconds, in_doubt=in_doubt)

    def give_back(self, writes: Sequence[Write], holder: str, *, in_doubt: bool = False) -> None:
        """Leave slots to whoever looks next; `in_doubt` as for `keep`."""
        self._end(writes, holder, "give", 0, in_doubt=in_doubt)

    def _end(
        self, writes: Sequence[Write], holder: str, what: str, seconds: float, *, in_doubt: bool
    ) -> None:
        if writes:
            doubt = _ms(LONGEST_WRITE_SECONDS) if in_doubt else 0
            with reaching(self._url):
                keys = [_OPEN, *(_slot(write.update) for write in writes)]
                self._let_go(keys=keys, args=[holder, what, _ms(seconds), doubt])

    def next_revision(self) -> int:
        """A revision that none is above so far: what is read after it may be offered with it."""
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
        self, script: Any, updates: Sequence[Update], arguments: list[str | int]
    ) -> list[Answer]:
        if not updates:
            return []
        with reaching(self._url):
            answers = script(keys=[_OPEN, *map(_slot, updates)], args=arguments)
        return [_answer(update, *found) for update, found in zip(updates, answers, strict=True)]


def read_failed(url: str) -> list[dict[str, Any]]:
    """The stores that failed for good, newest first, each with an `id` that stays.

    Raises:
        RetryLater: Redis cannot be reached.
    """
    with reaching(url), connect(url) as client:
        return [_failed(entry) for entry in _failed_entries(client)]


def remove_failed(url: str, ids: Collection[str]) -> None:
    """Strike stores off the list of those that failed; an id that is not there is nothing to do.

    Raises:
        RetryLater: Redis cannot be reached; perhaps some are struck off.
    """
    with reaching(url), connect(url) as client:
        # By content: others may be added at any moment, so that no place in the list stays.
        for entry in _failed_entries(client):
            if _failed(entry)["id"] in ids:
                client.lrem(FAILED_STORES, 0, entry.decode())


def _failed_entries(client: redis.Redis) -> list[bytes]:
    found: Any = client.lrange(FAILED_STORES, 0, -1)
    return list(found)


def _failed(entry: bytes) -> dict[str, Any]:
    # Entries were kept without an id once.
    return {"id": hashlib.sha256(entry).hexdigest()[:8]} | dict(json.loads(entry))


def _answer(update: Update, status: bytes, *rest: bytes) -> Answer:
    if status == b"write":
        revision, value, tag = rest
        newest = Update(update.symbol, update.key, json.loads(value))
        return Answer(Write(newest, int(revision), tag.decode()))
    if status == b"done":
        return Answer(None)
    standing = Standing.MINE if status == b"mine" else Standing.HELD
    return Answer(None, standing, int(rest[0]) / 1000)


def _slot(update: Update) -> str:
    # No symbol has a blank in it.
    return f"{_SLOT_PREFIX}{update.symbol} {update.key}"


def _update_of(slot: str, value: Any) -> Update:
    symbol, _, key = slot.removeprefix(_SLOT_PREFIX).partition(" ")
    return Update(symbol, key, value)


def _text(update: Update) -> str:
    """The value in one spelling, so that the same value is the same text."""
    return json.dumps(update.value, sort_keys=True)


def _tag(update: Update) -> str:
    """What must differ from the stored value's for a write to be worth it; empty: always write."""
    if update.key == "price" and isinstance(update.value, dict):
        with suppress(KeyError, TypeError, ValueError):
            return repr(float(update.value["price"]))
    return ""


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
