"""What Redis decides for `app.delivery.register`, in Lua."""

# In all scripts KEYS[1] is the sorted set of open slots, by the time (ms) at which to look, and the
# other KEYS are slots. A holder is "<task>/<execution>", and "<task>/" while the task waits for
# its retry: no other task may take the slot then, but any execution of this one.
_COMMON = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local open = KEYS[1]
local function read(slot)
  local v = redis.call('HMGET', slot, 'rev', 'value', 'fingerprint', 'stored', 'stored_fingerprint',
                       'holder', 'until', 'again', 'doubt', 'time')
  return {rev = v[1] or '0', value = v[2] or '', fingerprint = v[3] or '', stored = v[4] or '0',
          stored_fingerprint = v[5] or '', holder = v[6] or '', till = tonumber(v[7] or '0'),
          again = v[8], doubt = tonumber(v[9] or '0'), time = v[10] or v[1] or '0'}
end
local function set_newest(slot, s, rev, value, fingerprint, time)
  redis.call('HSET', slot, 'rev', rev, 'value', value, 'fingerprint', fingerprint)
  if time ~= rev then
    redis.call('HSET', slot, 'time', time)
  elseif s.time ~= s.rev then
    redis.call('HDEL', slot, 'time')
  end
  s.rev, s.value, s.fingerprint, s.time = rev, value, fingerprint, time
end
local function is_done(s)
  return not s.again and (s.doubt == 0 or now < s.doubt)
         and (tonumber(s.stored) >= tonumber(s.rev)
              or (s.fingerprint ~= '' and s.fingerprint == s.stored_fingerprint))
end
local function take(slot, s, holder, lease)
  -- From here on nobody knows which of two values is stored, until the write is confirmed.
  redis.call('HSET', slot, 'holder', holder, 'until', now + lease)
  redis.call('HDEL', slot, 'again', 'stored_fingerprint')
  if s.doubt ~= 0 and now >= s.doubt then
    redis.call('HDEL', slot, 'doubt')
  end
  redis.call('ZADD', open, now + lease, slot)
  return {'write', s.rev, s.value, s.fingerprint}
end
local function close(slot, s)
  redis.call('HDEL', slot, 'holder', 'until')
  if s.doubt ~= 0 then
    redis.call('ZADD', open, s.doubt, slot)
  else
    redis.call('ZREM', open, slot)
  end
  return {'done'}
end
"""

# KEYS[2]: the last revision, then slots. ARGV: keep s, grace ms, then per slot: value, fingerprint
ANNOUNCE = (
    _COMMON
    + """
local last = tonumber(redis.call('GET', KEYS[2]) or '0')
local next = math.max(last + 1, time[1] * 1000000 + time[2])
redis.call('SET', KEYS[2], string.format('%d', next))
local answers = {}
for i = 3, #KEYS do
  local slot, s = KEYS[i], read(KEYS[i])
  -- A direct call may have brought a time that is ahead of ours.
  local rev = string.format('%d', math.max(next, tonumber(s.rev) + 1))
  set_newest(slot, s, rev, ARGV[2 * i - 3], ARGV[2 * i - 2], rev)
  redis.call('EXPIRE', slot, ARGV[1])
  local held = s.till > now
  if not held and is_done(s) then
    close(slot, s)
    rev = '0'
  elseif not held then
    redis.call('ZADD', open, now + tonumber(ARGV[2]), slot)
  end
  answers[i - 2] = rev
end
return answers
"""
)

# ARGV: holder, lease ms, keep s, resumed, whether the revisions are the values' own times, then per
# slot: rev, value, fingerprint
PROPOSE = (
    _COMMON
    + """
local holder, lease, keep, resumed = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4] == '1'
local by_time = ARGV[5] == '1'
local task = string.match(holder, '^(.*)/')
local answers = {}
for i = 2, #KEYS do
  local slot, s = KEYS[i], read(KEYS[i])
  local rev, value, fingerprint = ARGV[3 * i], ARGV[3 * i + 1], ARGV[3 * i + 2]
  local proposed, known = tonumber(rev), tonumber(s.rev)
  local than = by_time and tonumber(s.time) or known
  local again = proposed == than and not resumed and (by_time or value ~= s.value)
  if proposed > than or again then
    local next = string.format('%d', math.max(proposed, known + 1))
    set_newest(slot, s, next, value, fingerprint, by_time and rev or next)
    redis.call('EXPIRE', slot, keep)
  end
  if s.till > now and s.holder ~= task .. '/' then
    local mine = string.match(s.holder, '^(.*)/') == task
    answers[i - 1] = {mine and 'mine' or 'held', tostring(s.till - now)}
  elseif is_done(s) then
    answers[i - 1] = close(slot, s)
  else
    answers[i - 1] = take(slot, s, holder, lease)
  end
end
return answers
"""
)

# ARGV: holder, lease ms, then per slot: rev, fingerprint, and whether they were written or refused
CONFIRM = (
    _COMMON
    + """
local holder, lease = ARGV[1], tonumber(ARGV[2])
local answers = {}
for i = 2, #KEYS do
  local slot, s = KEYS[i], read(KEYS[i])
  local rev, fingerprint, refused = ARGV[3 * i - 3], ARGV[3 * i - 2], ARGV[3 * i - 1] == 'refused'
  if s.holder ~= holder and s.till > now then
    -- Our lease ran out, and this write may have landed over the new holder's.
    redis.call('HSET', slot, 'again', '1')
    answers[i - 1] = {'done'}
  elseif s.holder ~= holder then
    answers[i - 1] = take(slot, s, holder, lease)
  elseif refused and not s.again and tonumber(s.rev) <= tonumber(rev) then
    answers[i - 1] = close(slot, s)
  elseif refused then
    answers[i - 1] = take(slot, s, holder, lease)
  else
    redis.call('HSET', slot, 'stored', rev, 'stored_fingerprint', fingerprint)
    s.stored, s.stored_fingerprint = rev, fingerprint
    answers[i - 1] = is_done(s) and close(slot, s) or take(slot, s, holder, lease)
  end
end
return answers
"""
)

# ARGV: holder; keep or give; ms: for which the task keeps the slots; ms after which a
# write that was perhaps under way can land no more (0: there is none)
LET_GO = (
    _COMMON
    + """
local holder, what, keep, doubt = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
for i = 2, #KEYS do
  local slot, s = KEYS[i], read(KEYS[i])
  if doubt ~= 0 then
    s.doubt = now + doubt
    redis.call('HSET', slot, 'doubt', s.doubt)
  end
  if s.holder ~= holder then
    -- It is somebody else's by now.
  elseif what == 'keep' then
    redis.call('HSET', slot, 'holder', string.match(holder, '^(.*)/') .. '/', 'until', now + keep)
    redis.call('ZADD', open, now + keep, slot)
  else
    redis.call('HDEL', slot, 'holder', 'until')
    redis.call('ZADD', open, now, slot)
  end
end
"""
)

# ARGV: how many at the most, grace ms
OVERDUE = (
    _COMMON
    + """
local answers = {}
for _, slot in ipairs(redis.call('ZRANGEBYSCORE', open, '-inf', now, 'LIMIT', 0, ARGV[1])) do
  local s = read(slot)
  if s.value == '' then
    redis.call('ZREM', open, slot)
  else
    redis.call('ZADD', open, now + tonumber(ARGV[2]), slot)
    answers[#answers + 1] = {slot, s.rev, s.value}
  end
end
return answers
"""
)
