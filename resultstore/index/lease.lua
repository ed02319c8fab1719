-- Leases: at most `most` members, each with an expiry and a weight. One Cluster slot.
-- KEYS  the sorted set of members by expiry (ms); the hash of their weights
-- ARGV  operation ("take", "leave", "look"); member; lease in ms; weight; most
-- Returns {1} if done, {0} if there are `most` members; "look" returns members and weights in turn.
local what, member, life_ms, weight, most = unpack(ARGV)
local clock = redis.call('TIME')  -- the server's clock, because the gateways' clocks differ
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- A key of another type was written by another program.
for at, wanted in ipairs({'zset', 'hash'}) do
  local kind = redis.call('TYPE', KEYS[at]).ok
  if kind ~= 'none' and kind ~= wanted then redis.call('DEL', KEYS[at]) end
end
for _, over in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)) do
  redis.call('ZREM', KEYS[1], over)
  redis.call('HDEL', KEYS[2], over)
end
if what == 'look' then
  return redis.call('HGETALL', KEYS[2])
end
if what == 'leave' then
  redis.call('ZREM', KEYS[1], member)
  redis.call('HDEL', KEYS[2], member)
  return {1}
end
-- A present member takes its lease again: a repeated call, or a renewal.
if not redis.call('ZSCORE', KEYS[1], member) and redis.call('ZCARD', KEYS[1]) >= tonumber(most) then
  return {0}
end
redis.call('ZADD', KEYS[1], now + life_ms, member)
redis.call('HSET', KEYS[2], member, weight)
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2]
redis.call('PEXPIREAT', KEYS[1], last)
redis.call('PEXPIREAT', KEYS[2], last)
return {1}
