-- The webhooks that have not been sent. One Cluster slot. Times are of the server's clock: the gateways' differ.
-- KEYS  the hooks by id, the ids whose work has not ended (by when they came), the ids to be sent (by when)
-- ARGV  what; then
--   "watch" id hook    the hook waits for its work
--   "ended" id         its work has ended: it is due now, once
--   "lease" n ms       up to n hooks that are due, ids and hooks by turns; each is due again after ms
--   "again" id hook ms it is due after ms
--   "done" id          nothing more is to be sent
--   "waiting" from n   ids whose work has not ended, the oldest first, and by turns for how many seconds
local what, id = ARGV[1], ARGV[2]
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000

-- What is no set and no hash was not written by us.
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
