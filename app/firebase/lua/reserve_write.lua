-- Reserve one write to Firebase under two limits: writes per second and bytes per minute.
--
-- This is the generic cell rate algorithm. Each limit is a single point in time: the capacity up to
-- that point is used. A point in the past means free capacity (at most the burst); a point in the
-- future means that the next write has to wait until then. A write larger than the free capacity is
-- therefore sent, and delays the writes after it.
--
-- Orders are many and large, figures few and small, so figures have a share of both limits of their
-- own. While orders use the capacity up, a figure is sent if it is within that share. What figures
-- do not use, orders may: they wait until the common capacity is free again, the figures' included.
--
-- KEYS[1]  hash: `writes` and `bytes` (the two points), `figure_writes` and `figure_bytes` (those of
--          the figures' share) and `at` (when they were last set), all in microseconds since 1970
-- ARGV[1]  size of the write, in bytes
-- ARGV[2]  microseconds of capacity that a write uses
-- ARGV[3]  microseconds of capacity that a byte uses
-- ARGV[4]  burst: microseconds of unused capacity that are kept
-- ARGV[5]  longest wait to grant, in microseconds
-- ARGV[6]  the share of figures, 0 to 1; '0': this write is of orders, and has none
--
-- Returns {1 if granted or 0 if the wait would be too long, wait in microseconds}.
local size, per_write, per_byte = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local burst, longest_wait, share = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local state = redis.call('HMGET', KEYS[1], 'writes', 'bytes', 'at', 'figure_writes', 'figure_bytes')

-- If the clock was set back, the points move back with it: otherwise every write would wait until
-- the clock is where it was.
local set_back = math.max(0, tonumber(state[3] or '0') - now)
local function point(text)
  return math.max(tonumber(text or '0') - set_back, now - burst)
end
local writes, bytes = point(state[1]), point(state[2])
local figure_writes, figure_bytes = point(state[4]), point(state[5])

local wait = math.max(writes, bytes, now) - now
if share > 0 then
  wait = math.min(wait, math.max(figure_writes, figure_bytes, now) - now)
end
local granted = wait <= longest_wait
if granted then
  writes = writes + per_write
  bytes = bytes + size * per_byte
  if share > 0 then
    figure_writes = figure_writes + per_write / share
    figure_bytes = figure_bytes + size * per_byte / share
  end
end

-- Also if it was not granted: `at` and the points must stay on the same clock.
redis.call('HSET', KEYS[1], 'at', string.format('%d', now),
           'writes', string.format('%.3f', writes), 'bytes', string.format('%.3f', bytes),
           'figure_writes', string.format('%.3f', figure_writes),
           'figure_bytes', string.format('%.3f', figure_bytes))
redis.call('EXPIRE', KEYS[1], 3600)
return {granted and 1 or 0, wait}
