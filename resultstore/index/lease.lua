-- A lease: `most` members at a time, each for a while, each with a weight. One Cluster slot.
-- KEYS  the sorted set of members by their end (ms), the hash of their weights
-- ARGV  what ("take", "leave", "look"); member; life in ms; weight; most
-- Returns {1} when taken or left, {0} when there is no room; "look" returns members and weights by turns.
local what, member, life_ms, weight, most = unpack(ARGV)
local clock = redis.call('TIME')  -- the server's: the gateways' clocks differ
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- What is no set and no hash was not written by us.
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
-- Whoever holds one already takes it again: a repeated call, or one that makes it last.
if not redis.call('ZSCORE', KEYS[1], member) and redis.call('ZCARD', KEYS[1]) >= tonumber(most) then
  return {0}
end
redis.call('ZADD', KEYS[1], now + life_ms, member)
redis.call('HSET', KEYS[2], member, weight)
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2]
redis.call('PEXPIREAT', KEYS[1], last)
redis.call('PEXPIREAT', KEYS[2], last)
return {1}
