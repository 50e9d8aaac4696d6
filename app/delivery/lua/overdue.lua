-- Return the newest value of overdue slots: their tasks were lost, or died.
--
-- KEYS 1    open slots
-- ARGV 1    how many slots at most
--      2    milliseconds after which a slot is overdue again if no task has taken its lease
--
-- Returns key, revision and value of each slot.

local limit, grace = ARGV[1], tonumber(ARGV[2])

local overdue = {}
for _, key in ipairs(redis.call('ZRANGEBYSCORE', open_slots, '-inf', now, 'LIMIT', 0, limit)) do
  local slot = read_slot(key)
  if slot.value == '' then
    -- The slot itself has expired.
    redis.call('ZREM', open_slots, key)
  else
    redis.call('ZADD', open_slots, now + grace, key)
    overdue[#overdue + 1] = {key, slot.revision, slot.value}
  end
end
return overdue
