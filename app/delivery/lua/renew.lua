-- Renew the leases of a task that is still at work.
--
-- KEYS 1    open slots
--      2..  slots
-- ARGV 1    holder
--      2    lease, ms

local holder, lease = ARGV[1], tonumber(ARGV[2])

for _, key in each_slot(2, 3, 0) do
  -- Where the lease has ended, another holder may have it by now.
  if redis.call('HGET', key, 'holder') == holder then
    redis.call('HSET', key, 'until', now + lease)
    redis.call('ZADD', open_slots, now + lease, key)
  end
end
