-- What all scripts of the latest-value register share. It is put in front of each of them.
--
-- KEYS[1] is always the sorted set of open slots: those whose newest value is not known to be
-- stored, by the time (ms) at which they are overdue.
--
-- A slot is a hash. Its fields keep the names that they had in former versions, so that workers of
-- two versions can run side by side:
--   rev, value, fingerprint     the newest value
--   time                        that value's own time, where it is not its revision
--   stored, stored_fingerprint  revision and fingerprint of what Firebase has
--   holder, until               the lease, and when it ends (ms)
--   again                       the slot has to be written once more, whatever is stored
--   doubt                       when a write without an answer can land no more (ms)
--   refusals, refused_until     how often in a row Firebase refused it, and until when it waits (ms)
--
-- A holder is "<task>/<execution>". While a task waits for its retry it is "<task>/": any execution
-- of this task may take the lease, and no other task.

local open_slots = KEYS[1]
-- What Firebase refuses waits before it is tried again, twice as long each time. If it refuses one
-- slot after the other, the rule is what is wrong, and not a value: all slots of that kind wait
-- together. A hash has, by kind (performance, price, orders):
--   <kind> row       how many symbols were refused one after the other, and none was stored
--   <kind> last      the last of them
--   <kind> pauses    how often all of them have waited; one of them is then tried alone
--   <kind> until     until when they wait (ms)
--   <kind> trial     the holder who tries one of them then
local refusals = open_slots .. ':refusals'
local first_pause, longest_pause = 7500, 45000
local longest_row = 3
local clock = redis.call('TIME')
local now_us = clock[1] * 1000000 + clock[2]
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- Iterate over the slots from KEYS[first_key] on: number, key, and the `count` arguments of each,
-- which follow each other from ARGV[first_argument] on.
local function each_slot(first_key, first_argument, count)
  local number = 0
  return function()
    local key = KEYS[first_key + number]
    if key then
      local first = first_argument + number * count
      number = number + 1
      return number, key, unpack(ARGV, first, first + count - 1)
    end
  end
end

local function read_slot(key)
  local field = redis.call('HMGET', key, 'rev', 'value', 'fingerprint', 'time', 'stored',
                           'stored_fingerprint', 'holder', 'until', 'again', 'doubt',
                           'refusals', 'refused_until')
  return {
    key = key,
    revision = field[1] or '0',
    value = field[2] or '',
    fingerprint = field[3] or '',
    time = field[4] or field[1] or '0',
    stored = field[5] or '0',
    stored_fingerprint = field[6] or '',
    holder = field[7] or '',
    leased_until = tonumber(field[8] or '0'),
    write_again = field[9],
    unknown_until = tonumber(field[10] or '0'),
    refusals = tonumber(field[11] or '0'),
    refused_until = tonumber(field[12] or '0'),
    kind = string.match(key, ' ([^/]*)') or '',
  }
end

local function task_of(holder)
  return string.match(holder, '^(.*)/')
end

local function is_leased(slot)
  return slot.leased_until > now
end

local function may_still_land(slot)
  return slot.unknown_until > now
end

-- Whether there is nothing to write: what Firebase has is as new, or has the same fingerprint.
local function is_stored(slot)
  if slot.write_again or (slot.unknown_until ~= 0 and not may_still_land(slot)) then
    return false
  end
  return tonumber(slot.stored) >= tonumber(slot.revision)
         or (slot.fingerprint ~= '' and slot.fingerprint == slot.stored_fingerprint)
end

local kinds = {}

-- Return how all slots of a kind fare: `pauses` and `until`, 0 if none is refused.
local function state_of(kind)
  if not kinds[kind] then
    local field = redis.call('HMGET', refusals, kind .. ' pauses', kind .. ' until')
    kinds[kind] = {pauses = tonumber(field[1] or '0'), ends = tonumber(field[2] or '0')}
  end
  return kinds[kind]
end

-- Return until when a slot waits because Firebase refuses it, or its kind; a time in the past: it
-- does not.
local function waits_until(slot)
  return math.max(slot.refused_until, state_of(slot.kind).ends)
end

local function set_newest(slot, revision, value, fingerprint, time)
  redis.call('HSET', slot.key, 'rev', revision, 'value', value, 'fingerprint', fingerprint)
  if time ~= revision then
    redis.call('HSET', slot.key, 'time', time)
  elseif slot.time ~= slot.revision then
    redis.call('HDEL', slot.key, 'time')
  end
  slot.revision, slot.value, slot.fingerprint, slot.time = revision, value, fingerprint, time
end

-- Give the lease to a holder who is to write the newest value.
local function take_lease(slot, holder, lease)
  redis.call('HSET', slot.key, 'holder', holder, 'until', now + lease)
  -- Until the write is confirmed nobody knows which of two values Firebase has.
  redis.call('HDEL', slot.key, 'again', 'stored_fingerprint')
  if slot.unknown_until ~= 0 and not may_still_land(slot) then
    redis.call('HDEL', slot.key, 'doubt')
  end
  redis.call('ZADD', open_slots, now + lease, slot.key)
  local standing = state_of(slot.kind).is_on_trial and 'on trial'
                   or slot.refusals > 0 and 'refused before' or ''
  return {'write', slot.revision, slot.value, slot.fingerprint, standing}
end

-- End the lease of a slot that has nothing to write.
local function close(slot)
  redis.call('HDEL', slot.key, 'holder', 'until')
  if slot.unknown_until ~= 0 then
    -- Overdue when the write without an answer can land no more: then it is written once more.
    redis.call('ZADD', open_slots, slot.unknown_until, slot.key)
  else
    redis.call('ZREM', open_slots, slot.key)
  end
  return {'current'}
end

-- Leave a slot that waits because Firebase refuses it. It is overdue when it is to be tried again.
local function leave_waiting(slot)
  redis.call('HDEL', slot.key, 'holder', 'until')
  redis.call('ZADD', open_slots, math.max(waits_until(slot), now), slot.key)
end

-- Have a slot written once more when a write that got no answer can land no more.
local function note_unknown_outcome(slot, longest_write)
  slot.unknown_until = now + longest_write
  redis.call('HSET', slot.key, 'doubt', slot.unknown_until)
end

