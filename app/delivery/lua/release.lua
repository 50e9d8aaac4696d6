-- Give up the leases of a task whose write failed and that nobody will retry.
--
-- KEYS 1    open slots
--      2..  slots
-- ARGV 1    holder
--      2    how long a write without an answer may still land, ms; '0': all were answered

local holder, longest_write = ARGV[1], tonumber(ARGV[2])

for _, key in each_slot(2, 3, 0) do
  local slot = read_slot(key)
  if longest_write ~= 0 then
    note_unknown_outcome(slot, longest_write)
  end
  -- Where the lease has ended, another holder may have it by now.
  if slot.holder == holder then
    redis.call('HDEL', key, 'holder', 'until')
    redis.call('ZADD', open_slots, now, key)
  end
end
