-- Claim a key: succeeds if it has no holder, or the same one.
-- KEYS  the key
-- ARGV  holder; lease in seconds
-- Returns 1 if the holder has the key now, else 0.
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'none' and kind ~= 'string' then redis.call('DEL', KEYS[1]) end  -- another program wrote it
local before = redis.call('GET', KEYS[1])
if before and before ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 1
