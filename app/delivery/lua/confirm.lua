-- Record the results of writes, and keep the lease of each slot that has something newer to write.
--
-- KEYS 1    open slots
--      2..  slots
-- ARGV 1    holder
--      2    lease, ms
--      then for each slot: revision, fingerprint, and 'written' or 'refused'
--
-- Returns for each slot one of
--      'write', revision, value, fingerprint   the holder has the lease, and writes this value
--      'current'                               the holder has nothing more to do

local holder, lease = ARGV[1], tonumber(ARGV[2])

-- The lease ended while the write was under way.
local function after_lost_lease(slot)
  if is_leased(slot) then
    -- The write may have landed over the one of the new holder, who therefore writes again.
    redis.call('HSET', slot.key, 'again', '1')
    return {'current'}
  end
  return take_lease(slot, holder, lease)
end

-- Firebase will never take this value, so only a newer one is worth a write.
local function after_refusal(slot, revision)
  if slot.write_again or tonumber(slot.revision) > tonumber(revision) then
    return take_lease(slot, holder, lease)
  end
  return close(slot)
end

local function after_write(slot, revision, fingerprint)
  redis.call('HSET', slot.key, 'stored', revision, 'stored_fingerprint', fingerprint)
  slot.stored, slot.stored_fingerprint = revision, fingerprint
  local has_more_to_write = not is_stored(slot)
  if has_more_to_write then
    return take_lease(slot, holder, lease)
  end
  return close(slot)
end

local outcomes = {}
for number, key, revision, fingerprint, result in each_slot(2, 3, 3) do
  local slot = read_slot(key)
  if slot.holder ~= holder then
    outcomes[number] = after_lost_lease(slot)
  elseif result == 'refused' then
    outcomes[number] = after_refusal(slot, revision)
  else
    outcomes[number] = after_write(slot, revision, fingerprint)
  end
end
return outcomes
