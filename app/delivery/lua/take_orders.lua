-- Return the open orders whose turn it is, unless others are on their way.
--
-- An order is on its way from when it is taken until its write is confirmed or refused. One that is
-- stored, and only has to be written once more after a write without an answer, is not.
--
-- KEYS 1    open orders
-- ARGV 1    how many orders at most
--      2    milliseconds after which an order is taken again if it is not stored
--      3    how many bytes of values at most; one order is returned in any case
--
-- Returns how many orders are open, and key, revision and value of each whose turn it is.

local limit, grace, most_bytes = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local taken, size = {}, 0

if state_of('orders').ends > now then
  return {0, {}}  -- Firebase refuses all of them, and they wait
end

for _, key in ipairs(redis.call('ZRANGEBYSCORE', open_slots, string.format('(%d', now), '+inf')) do
  local slot = read_slot(key)
  if not is_stored(slot) and waits_until(slot) <= now then
    return {redis.call('ZCARD', open_slots), taken}
  end
end

for _, key in ipairs(redis.call('ZRANGEBYSCORE', open_slots, '-inf', now, 'LIMIT', 0, limit)) do
  local slot = read_slot(key)
  if slot.value == '' then
    -- The slot itself has expired.
    redis.call('ZREM', open_slots, key)
  else
    size = size + #slot.value
    if size > most_bytes and #taken > 0 then
      break
    end
    redis.call('ZADD', open_slots, now + grace, key)
    taken[#taken + 1] = {key, slot.revision, slot.value}
  end
end
return {redis.call('ZCARD', open_slots), taken}
