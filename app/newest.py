"""Newest wins: which value of a slot is the newest, and who may write it now.

A slot is one key of one symbol. Redis holds for it the newest value, under a revision that only
grows; the revision that is stored; and a lease. Who holds the lease writes the newest value there
is, and looks again until stored = newest. Who finds it held has put the value in good hands, and
ends. So writes of one slot never overlap, and a burst folds into few of them.
"""

import json
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

from app.channels import FAILED_STORES, KEY_PREFIX
from app.messages import Update
from app.redis_client import connect, reaching

LEASE_SECONDS = 15.0
"""How long a write may be under way. A request to Firebase ends well before, or fails."""

SLOT_KEPT_SECONDS = 8 * 86_400
"""A slot that nobody touched for so long is forgotten: its day is over, its order is done."""

FAILED_KEPT = 1_000
"""How many stores that failed for good are kept, the newest."""

# In all scripts: KEYS are slots. A holder is "<task>/<execution>", and "<task>/" while the task
# waits for its retry: no other task may take the slot then, but any execution of this one.
_COMMON = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function read(slot)
  local v = redis.call('HMGET', slot, 'rev', 'value', 'tag', 'stored', 'stored_tag',
                       'holder', 'until', 'again')
  return {rev = v[1] or '0', value = v[2] or '', tag = v[3] or '', stored = v[4] or '0',
          stored_tag = v[5] or '', holder = v[6] or '', till = tonumber(v[7] or '0'),
          again = v[8]}
end
local function is_done(s)
  return not s.again and (tonumber(s.stored) >= tonumber(s.rev)
         or (s.tag ~= '' and s.tag == s.stored_tag))
end
local function take(slot, s, holder, lease)
  redis.call('HSET', slot, 'holder', holder, 'until', now + lease)
  redis.call('HDEL', slot, 'again')
  return {'write', s.rev, s.value, s.tag}
end
"""

# ARGV: holder, lease ms, keep s, resumed, then per slot: rev, value, tag
_OFFER = (
    _COMMON
    + """
local holder, lease, keep, resumed = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4] == '1'
local task = string.match(holder, '^(.*)/')
local answers = {}
for i, slot in ipairs(KEYS) do
  local rev, value, tag = ARGV[3 * i + 2], ARGV[3 * i + 3], ARGV[3 * i + 4]
  local s = read(slot)
  local offered, known = tonumber(rev), tonumber(s.rev)
  if offered == known and value ~= s.value and not resumed then
    rev = string.format('%d', known + 1)
    offered = known + 1
  end
  if offered > known then
    redis.call('HSET', slot, 'rev', rev, 'value', value, 'tag', tag)
    s.rev, s.value, s.tag = rev, value, tag
  end
  redis.call('EXPIRE', slot, keep)
  if s.till > now and s.holder ~= task .. '/' then
    local mine = string.match(s.holder, '^(.*)/') == task
    answers[i] = {mine and 'mine' or 'held', tostring(s.till - now)}
  elseif is_done(s) then
    redis.call('HDEL', slot, 'holder', 'until')
    answers[i] = {'done'}
  else
    answers[i] = take(slot, s, holder, lease)
  end
end
return answers
"""
)

# ARGV: holder, lease ms, then per slot: rev and tag that were written
_CONFIRM = (
    _COMMON
    + """
local holder, lease = ARGV[1], tonumber(ARGV[2])
local answers = {}
for i, slot in ipairs(KEYS) do
  local rev, tag = ARGV[2 * i + 1], ARGV[2 * i + 2]
  local s = read(slot)
  if s.holder ~= holder and s.till > now then
    -- Our lease ran out, and this write may have landed over the new holder's.
    redis.call('HSET', slot, 'again', '1')
    answers[i] = {'done'}
  elseif s.holder ~= holder then
    answers[i] = take(slot, s, holder, lease)
  else
    redis.call('HSET', slot, 'stored', rev, 'stored_tag', tag)
    s.stored, s.stored_tag = rev, tag
    if is_done(s) then
      redis.call('HDEL', slot, 'holder', 'until')
      answers[i] = {'done'}
    else
      answers[i] = take(slot, s, holder, lease)
    end
  end
end
return answers
"""
)

# ARGV: holder, ms for which the task keeps the slots for its retry (0: it lets go of them)
_LET_GO = (
    _COMMON
    + """
for _, slot in ipairs(KEYS) do
  if redis.call('HGET', slot, 'holder') == ARGV[1] then
    if ARGV[2] == '0' then
      redis.call('HDEL', slot, 'holder', 'until')
    else
      redis.call('HSET', slot, 'holder', string.match(ARGV[1], '^(.*)/') .. '/',
                 'until', now + tonumber(ARGV[2]))
    end
  end
end
"""
)

# KEYS: the last revision
_NEXT_REVISION = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local last = tonumber(redis.call('GET', KEYS[1]) or '0')
local next = string.format('%d', math.max(last + 1, now))
redis.call('SET', KEYS[1], next)
return next
"""


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
        self._next_revision = self._client.register_script(_NEXT_REVISION)

    @staticmethod
    def holder(task: str) -> str:
        """A new holder's name for one execution of a task."""
        return f"{task}/{uuid.uuid4().hex[:12]}"

    def next_revision(self) -> int:
        """A revision above all before it: the time in microseconds, or one more than the last."""
        with reaching(self._url):
            return int(self._next_revision(keys=[KEY_PREFIX + "revision"]))

    def offer(self, offers: Sequence[Offer], holder: str, *, resumed: bool) -> list[Answer]:
        """Offer values, and take the lease of each slot that has something to write.

        Args:
            offers: one per slot.
            holder: from `holder`.
            resumed: the task has offered these before; its value wins no tie.
        """
        arguments: list[str | int] = [holder, _ms(LEASE_SECONDS), SLOT_KEPT_SECONDS, int(resumed)]
        for offer in offers:
            value = json.dumps(offer.update.value, sort_keys=True)
            arguments += [offer.revision, value, _tag(offer.update)]
        updates = [offer.update for offer in offers]
        return self._answers(self._offer, updates, arguments)

    def confirm(self, writes: Sequence[Write], holder: str) -> list[Write]:
        """Note what was written; what there is to write by now, in the same slots."""
        arguments: list[str | int] = [holder, _ms(LEASE_SECONDS)]
        for write in writes:
            arguments += [write.revision, write.tag]
        answers = self._answers(self._confirm, [write.update for write in writes], arguments)
        return [answer.write for answer in answers if answer.write is not None]

    def let_go(self, writes: Sequence[Write], holder: str, keep_seconds: float = 0.0) -> None:
        """Give slots up, or keep them for `keep_seconds` for the retry of the same task."""
        if writes:
            with reaching(self._url):
                keys = [_slot(write.update) for write in writes]
                self._let_go(keys=keys, args=[holder, _ms(keep_seconds)])

    def keep_failed(self, update: Update, reason: str, now: str) -> None:
        """Keep a store that failed for good, where an operator finds it."""
        entry = json.dumps({"at": now, **update._asdict(), "reason": reason})
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
            answers = script(keys=[_slot(update) for update in updates], args=arguments)
        return [_answer(update, *found) for update, found in zip(updates, answers, strict=True)]


def read_failed(url: str) -> list[dict[str, Any]]:
    """The stores that failed for good, newest first.

    Raises:
        RetryLater: Redis cannot be reached.
    """
    with reaching(url), connect(url) as client:
        entries: Any = client.lrange(FAILED_STORES, 0, -1)
    return [json.loads(entry) for entry in entries]


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
    return f"{KEY_PREFIX}newest:{update.symbol}:{update.key}"


def _tag(update: Update) -> str:
    """What must differ from the stored value's for a write to be worth it; empty: always write."""
    if update.key == "price" and isinstance(update.value, dict):
        with suppress(KeyError, TypeError, ValueError):
            return repr(float(update.value["price"]))
    return ""


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
