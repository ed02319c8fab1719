-- Count the reserved and the stored bytes of one owner. Atomic, in one Cluster slot.
-- KEYS  reserved: the sorted set of ids by expiry (ms), the hash of their bytes; the same two for stored bytes
-- ARGV  operation; id; life in ms ("": forever); bytes; the limit of the owner (-1: none)
--       "come"    reserve bytes for the id, within the limit
--       "store"   count bytes of the id as stored, and drop its reservation
--       "drop"    drop the reservation;  "forget" drop the stored bytes;  "look" only return the total
-- Returns {1, total bytes} if done, {0, total bytes} if the limit would be exceeded.
local what, id, life_ms, bytes, most = unpack(ARGV)
local clock = redis.call('TIME')  -- the server's clock, because the gateways' clocks differ
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local COMING, STORED = 1, 3

local function prune(at)
  for _, over in ipairs(redis.call('ZRANGEBYSCORE', KEYS[at], '-inf', now)) do
    redis.call('ZREM', KEYS[at], over)
    redis.call('HDEL', KEYS[at + 1], over)
  end
end

local function drop(at)
  redis.call('ZREM', KEYS[at], id)
  redis.call('HDEL', KEYS[at + 1], id)
end

local function put(at)
  redis.call('ZADD', KEYS[at], life_ms == '' and '+inf' or now + life_ms, id)
  redis.call('HSET', KEYS[at + 1], id, bytes)
  local last = redis.call('ZRANGE', KEYS[at], -1, -1, 'WITHSCORES')[2]
  for _, key in ipairs({KEYS[at], KEYS[at + 1]}) do
    if last == 'inf' then redis.call('PERSIST', key) else redis.call('PEXPIREAT', key, last) end
  end
end

-- Of an id with stored and reserved bytes the larger number counts: both never exist at once.
local function total(without)
  local sum, stored = 0, {}
  local found = redis.call('HGETALL', KEYS[STORED + 1])
  for at = 1, #found, 2 do stored[found[at]] = tonumber(found[at + 1]) or 0 end
  found = redis.call('HGETALL', KEYS[COMING + 1])
  for at = 1, #found, 2 do
    stored[found[at]] = math.max(stored[found[at]] or 0, tonumber(found[at + 1]) or 0)
  end
  for name, size in pairs(stored) do
    if name ~= without then sum = sum + size end
  end
  return sum
end

-- A key of another type was written by another program.
for at, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'none' and kind ~= (at % 2 == 1 and 'zset' or 'hash') then redis.call('DEL', key) end
end
prune(COMING)
prune(STORED)
if what == 'come' then
  if tonumber(most) >= 0 and total(id) + bytes > tonumber(most) then
    return {0, total('')}
  end
  put(COMING)
elseif what == 'store' then
  if tonumber(bytes) > 0 then put(STORED) else drop(STORED) end
  drop(COMING)
elseif what == 'drop' then
  drop(COMING)
elseif what == 'forget' then
  drop(STORED)
end
return {1, total('')}
