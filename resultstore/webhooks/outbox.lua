-- The webhooks that have not been delivered. One Cluster slot. The server's clock counts: the gateways' clocks differ.
-- KEYS  the hooks by id; the ids whose work has not ended (by arrival); the ids to be sent (by due time)
-- ARGV  operation; then
--   "watch" id hook    store a hook that waits for its work
--   "ended" id         make it due now, once, because its work has ended
--   "lease" n ms       return up to n due hooks, ids and hooks in turn; each is due again after ms
--   "again" id hook ms make it due after ms
--   "done" id          remove it
--   "waiting" from n   return ids whose work has not ended, the oldest first, each followed by its waiting time (s)
local what, id = ARGV[1], ARGV[2]
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000

-- A key of another type was written by another program.
for at, wanted in ipairs({'hash', 'zset', 'zset'}) do
  local kind = redis.call('TYPE', KEYS[at]).ok
  if kind ~= 'none' and kind ~= wanted then redis.call('DEL', KEYS[at]) end
end
if what == 'watch' then
  redis.call('HSET', KEYS[1], id, ARGV[3])
  redis.call('ZADD', KEYS[2], now, id)
elseif what == 'ended' then
  if redis.call('ZREM', KEYS[2], id) == 1 then
    redis.call('ZADD', KEYS[3], now, id)
    return {1}
  end
elseif what == 'lease' then
  local leased = {}
  for _, one in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now, 'LIMIT', 0, ARGV[2])) do
    local hook = redis.call('HGET', KEYS[1], one)
    if hook then
      redis.call('ZADD', KEYS[3], now + ARGV[3] / 1000, one)
      leased[#leased + 1], leased[#leased + 2] = one, hook
    else
      redis.call('ZREM', KEYS[3], one)
    end
  end
  return leased
elseif what == 'again' then
  if redis.call('ZSCORE', KEYS[3], id) then
    redis.call('HSET', KEYS[1], id, ARGV[3])
    redis.call('ZADD', KEYS[3], now + ARGV[4] / 1000, id)
  end
elseif what == 'done' then
  redis.call('ZREM', KEYS[2], id)
  redis.call('ZREM', KEYS[3], id)
  redis.call('HDEL', KEYS[1], id)
elseif what == 'waiting' then
  local from = tonumber(ARGV[2])
  local page = redis.call('ZRANGE', KEYS[2], from, from + ARGV[3] - 1, 'WITHSCORES')
  for at = 2, #page, 2 do
    page[at] = math.floor(now - page[at])
  end
  return page
end
return {}
