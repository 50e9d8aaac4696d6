-- Have the oldest orders of a symbol give way to those that a holder is about to write.
--
-- A removal is a value like any other: the slot's newest value becomes `{}`, under a revision above
-- the one it had. So an order that changes at the same moment stays, and a lost removal is overdue.
--
-- KEYS 1    open orders
--      2    the symbol's orders: ids by the revision they had when last seen here
--      3..  slots that are written, without those that remove an order
-- ARGV 1    holder
--      2    lease, ms
--      3    seconds after which an untouched slot is forgotten
--      4    how many orders are kept
--      5    how many are removed at most
--      6    seconds after which the symbol's orders are read anew from Firebase
--      7    what the keys of the symbol's slots begin with; the id follows
--      then for each slot: the order's id
--
-- Returns id, revision and value of each slot that the holder is to write in order to remove it.

local orders, holder, lease, slot_ttl = KEYS[2], ARGV[1], tonumber(ARGV[2]), ARGV[3]
local kept, most, ttl, prefix = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6], ARGV[7]

for _, key, id in each_slot(3, 8, 1) do
  redis.call('ZADD', orders, read_slot(key).revision, id)
end
if redis.call('TTL', orders) == -1 then
  redis.call('EXPIRE', orders, ttl)
end

local removals, removed = {}, 0
while removed < most and redis.call('ZCARD', orders) > kept do
  local id, revision = unpack(redis.call('ZRANGE', orders, 0, 0, 'WITHSCORES'))
  local slot = read_slot(prefix .. id)
  if tonumber(slot.revision) > tonumber(revision) then
    -- It has changed since.
    redis.call('ZADD', orders, slot.revision, id)
  else
    redis.call('ZREM', orders, id)
    removed = removed + 1
    local newest = string.format('%d', tonumber(slot.revision) + 1)
    set_newest(slot, newest, '{}', '', newest)
    redis.call('EXPIRE', slot.key, slot_ttl)
    -- Another holder finds this value when it confirms its write.
    if slot.holder == holder or not is_leased(slot) then
      take_lease(slot, holder, lease)
      removals[#removals + 1] = {id, newest, '{}'}
    end
  end
end
return removals
