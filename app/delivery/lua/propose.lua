-- Propose values, and take the lease of each slot that has something to write.
--
-- KEYS 1    open slots
--      2..  slots
-- ARGV 1    holder
--      2    lease, ms
--      3    seconds after which an untouched slot is forgotten
--      4    '1': an earlier execution of the task may have proposed the same values
--      5    '1': the revisions are the values' own times
--      6    '1': also what waits because Firebase refused it
--      then for each slot: revision, value, fingerprint
--
-- Returns for each slot one of
--      'write', revision, value, fingerprint, standing
--                                              the holder has the lease, and writes this value;
--                                              standing is '', 'refused before' if Firebase refused
--                                              the slot, or 'on trial' if it refused all its kind
--      'current'                               the newest value is stored
--      'held', ms                              another task has the lease for so long
--      'held by this task', ms                 another execution of the same task has it
--      'refused', ms, value                    it waits for so long because Firebase refuses it

local holder, lease, slot_ttl = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local is_resumed, by_time, is_forced = ARGV[4] == '1', ARGV[5] == '1', ARGV[6] == '1'
-- How long others wait for the verdict of the one who tries a refused kind again.
local trial = 7500
local task = task_of(holder)

local function set_if_newer(slot, revision, value, fingerprint)
  local proposed, newest = tonumber(revision), tonumber(slot.revision)
  local rival = by_time and tonumber(slot.time) or newest
  -- Of equals the one that is proposed later is the newer. A resumed task may have proposed its
  -- value before the other one. Given by time, the same value again is written again.
  local wins_tie = proposed == rival and not is_resumed and (by_time or value ~= slot.value)
  if proposed > rival or wins_tie then
    -- The revision grows with every new value, even among values of one time.
    local next_revision = string.format('%d', math.max(proposed, newest + 1))
    set_newest(slot, next_revision, value, fingerprint, by_time and revision or next_revision)
    redis.call('EXPIRE', slot.key, slot_ttl)
  end
end

local function is_held_by_another(slot)
  return is_leased(slot) and slot.holder ~= task .. '/'
end

-- Whether this call may write to a slot. Of a kind that was refused, one call at a time may.
local function may_write(slot)
  local kind = state_of(slot.kind)
  if is_forced then
    return true
  elseif slot.refused_until > now or (kind.ends > now and not kind.is_on_trial) then
    return false
  elseif kind.pauses > 0 and not kind.is_on_trial then
    kind.is_on_trial, kind.ends = true, now + trial
    redis.call('HSET', refusals, slot.kind .. ' until', kind.ends, slot.kind .. ' trial', holder)
  end
  return true
end

local outcomes = {}
for number, key, revision, value, fingerprint in each_slot(2, 7, 3) do
  local slot = read_slot(key)
  set_if_newer(slot, revision, value, fingerprint)
  if is_held_by_another(slot) then
    local status = task_of(slot.holder) == task and 'held by this task' or 'held'
    outcomes[number] = {status, tostring(slot.leased_until - now)}
  elseif is_stored(slot) then
    outcomes[number] = close(slot)
  elseif not may_write(slot) then
    leave_waiting(slot)
    outcomes[number] = {'refused', tostring(waits_until(slot) - now), slot.value}
  else
    outcomes[number] = take_lease(slot, holder, lease)
  end
end
return outcomes
