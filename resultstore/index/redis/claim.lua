-- One of many has a key for a while: nobody had it, or the same holder asks again.
-- KEYS  the key
-- ARGV  holder; life in seconds
-- Returns 1 when the holder has it now, else 0.
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'none' and kind ~= 'string' then redis.call('DEL', KEYS[1]) end  -- we did not write that
local before = redis.call('GET', KEYS[1])
if before and before ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 1
