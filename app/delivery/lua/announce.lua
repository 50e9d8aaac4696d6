-- Make values the newest of their slots, before any task is asked to store them.
--
-- KEYS 1    open slots
--      2    the last revision that was given out
--      3..  slots
-- ARGV 1    seconds after which an untouched slot is forgotten
--      2    milliseconds after which a slot is overdue if no task has taken its lease
--      then for each slot: value, fingerprint
--
-- Returns the revision of each value; '0' where no task is needed: an equal one is stored already, or
-- Firebase refuses the slot, which is overdue when it is to be tried again.

local slot_ttl, grace = ARGV[1], tonumber(ARGV[2])
local last_revision = tonumber(redis.call('GET', KEYS[2]) or '0')
local next_revision = math.max(last_revision + 1, now_us)
redis.call('SET', KEYS[2], string.format('%d', next_revision))

local revisions = {}
for number, key, value, fingerprint in each_slot(3, 3, 2) do
  local slot = read_slot(key)
  -- A direct call may have proposed a time that is ahead of Redis's clock.
  local revision = string.format('%d', math.max(next_revision, tonumber(slot.revision) + 1))
  set_newest(slot, revision, value, fingerprint, revision)
  redis.call('EXPIRE', key, slot_ttl)
  revisions[number] = revision
  if not is_leased(slot) then
    if is_stored(slot) then
      close(slot)
      revisions[number] = '0'
    elseif waits_until(slot) > now then
      revisions[number] = '0'
      redis.call('ZADD', open_slots, waits_until(slot), key)
    else
      redis.call('ZADD', open_slots, now + grace, key)
    end
  end
  -- The holder of a lease finds this value when it confirms its write; if it dies, the slot is
  -- overdue when its lease ends.
end
return revisions
