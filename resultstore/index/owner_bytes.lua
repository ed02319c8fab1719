-- The bytes of one owner: what is stored, and what may still come. Atomic, one Cluster slot.
-- KEYS  for what may come: the sorted set of ids by their end (ms), the hash of their bytes; the same for what is stored
-- ARGV  what; id; life in ms ("" forever); bytes; the most that one owner may have (-1: no limit)
--       "come"   bytes of the id may come, if there is room
--       "store"  bytes of the id are stored, and nothing more comes
--       "drop"   nothing comes;  "forget" nothing is stored;  "look"
-- Returns {1, bytes of all} when it was done, {0, bytes of all} when there is no room.
local what, id, life_ms, bytes, most = unpack(ARGV)
local clock = redis.call('TIME')  -- the server's: the gateways' clocks differ
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

-- Of an id that is stored and may come as well, the larger one counts: both never stand at once.
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

-- What is no set and no hash was not written by us.
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
