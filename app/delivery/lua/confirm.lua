-- Record the results of writes, and keep the lease of each slot that has something newer to write.
--
-- KEYS 1    open slots
--      2..  slots
-- ARGV 1    holder
--      2    lease, ms
--      3    kinds, each with a blank behind it, of which one slot after the other was refused
--      then for each slot: revision, fingerprint, and a result:
--           'written'    Firebase has it
--           'denied'     Firebase refuses it until an operator has corrected something
--           'refused'    Firebase will never take this value
--           'untried'    it waits with the others of its kind
--
-- Returns the kinds that have to wait from now on, and for each slot one of
--      'write', revision, value, fingerprint, standing
--                                              the holder has the lease, and writes this value
--      'current'                               the holder has nothing more to do

local holder, lease, refused_kinds = ARGV[1], tonumber(ARGV[2]), ARGV[3]

local function pause_after(times)
  return math.min(first_pause * 2 ^ (times - 1), longest_pause)
end

local paused = {}

-- Have all slots of a kind wait, and longer after each trial.
local function pause_kind(kind)
  local state = state_of(kind)
  if state.pauses > 0 and redis.call('HGET', refusals, kind .. ' trial') ~= holder then
    return  -- others have found out, too
  end
  state.pauses = redis.call('HINCRBY', refusals, kind .. ' pauses', 1)
  state.ends = now + pause_after(state.pauses)
  redis.call('HSET', refusals, kind .. ' until', state.ends)
  redis.call('HDEL', refusals, kind .. ' trial')
  if state.pauses == 1 then
    paused[#paused + 1] = kind
  end
  redis.call('EXPIRE', refusals, 86400)
end

-- Have one slot wait, and its whole kind if it is the last of a row.
local function pause_slot(slot, result)
  if result == 'denied' and slot.refusals == 0 and state_of(slot.kind).pauses == 0 then
    -- Several slots of one symbol say nothing about the others.
    local symbol = string.match(slot.key, '^[^ ]*')
    if redis.call('HGET', refusals, slot.kind .. ' last') ~= symbol then
      redis.call('HSET', refusals, slot.kind .. ' last', symbol)
      if redis.call('HINCRBY', refusals, slot.kind .. ' row', 1) >= longest_row then
        pause_kind(slot.kind)
      end
    end
  end
  slot.refusals = slot.refusals + 1
  slot.refused_until = now + pause_after(slot.refusals)
  redis.call('HSET', slot.key, 'refusals', slot.refusals, 'refused_until', slot.refused_until)
end

local function note_acceptance(slot)
  if slot.refusals > 0 then
    redis.call('HDEL', slot.key, 'refusals', 'refused_until')
    slot.refusals, slot.refused_until = 0, 0
  end
  if not (kinds[slot.kind] and kinds[slot.kind].is_accepted) then
    redis.call('HDEL', refusals, slot.kind .. ' row', slot.kind .. ' last',
               slot.kind .. ' pauses', slot.kind .. ' until', slot.kind .. ' trial')
    kinds[slot.kind] = {pauses = 0, ends = 0, is_accepted = true}
  end
end

-- The lease ended while the write was under way.
local function after_lost_lease(slot)
  if is_leased(slot) then
    -- The write may have landed over the one of the new holder, who therefore writes again.
    redis.call('HSET', slot.key, 'again', '1')
    return {'current'}
  end
  return take_lease(slot, holder, lease)
end

local function after_refusal(slot, revision, result)
  if result == 'untried' then
    redis.call('HSET', slot.key, 'refusals', math.max(slot.refusals, 1))
  else
    pause_slot(slot, result)
  end
  if result == 'refused' and not slot.write_again
     and tonumber(slot.revision) <= tonumber(revision) then
    return close(slot)
  end
  leave_waiting(slot)
  return {'current'}
end

local function after_write(slot, revision, fingerprint)
  redis.call('HSET', slot.key, 'stored', revision, 'stored_fingerprint', fingerprint)
  note_acceptance(slot)
  slot.stored, slot.stored_fingerprint = revision, fingerprint
  local has_more_to_write = not is_stored(slot)
  if has_more_to_write then
    return take_lease(slot, holder, lease)
  end
  return close(slot)
end

for kind in string.gmatch(refused_kinds, '%S+') do
  pause_kind(kind)
end

local outcomes = {}
for number, key, revision, fingerprint, result in each_slot(2, 4, 3) do
  local slot = read_slot(key)
  if slot.holder ~= holder then
    outcomes[number] = after_lost_lease(slot)
  elseif result == 'written' then
    outcomes[number] = after_write(slot, revision, fingerprint)
  else
    outcomes[number] = after_refusal(slot, revision, result)
  end
end
return {paused, outcomes}
