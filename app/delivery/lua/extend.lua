-- Reserve slots for the retry of a task whose write failed.
--
-- KEYS 1    open slots
--      2..  slots
-- ARGV 1    holder
--      2    for how long no other task may take the lease, ms
--      3    how long a write without an answer may still land, ms; '0': all were answered

local holder, extension, longest_write = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

for _, key in each_slot(2, 4, 0) do
  local slot = read_slot(key)
  if longest_write ~= 0 then
    note_unknown_outcome(slot, longest_write)
  end
  -- Where the lease has ended, another holder may have it by now.
  if slot.holder == holder then
    redis.call('HSET', key, 'holder', task_of(holder) .. '/', 'until', now + extension)
    redis.call('ZADD', open_slots, now + extension, key)
  end
end
