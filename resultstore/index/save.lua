-- One transition of one Result: compare, write, expire, announce. Atomic, one Cluster slot.
-- KEYS  the record, what lies beside it
-- ARGV  over ("anything", "unfinished", "nothing"); "1" when the same call may have been carried out before;
--       record; beside ("" for none); life in ms ("" for ever); channel; event
-- Returns 1 when what was asked for now stands, else 0.
local over, again, record, beside, life_ms, channel, event = unpack(ARGV)
local SUCCESS, FIRST_TERMINAL = 127, 64

-- The third byte of a record is its state's code, in every format (docs/format.md).
local head = redis.call('GETRANGE', KEYS[1], 0, 2)
if #head == 3 then
  local code = string.byte(head, 3)
  local refused = over == 'nothing'
    or code == SUCCESS
    or (over == 'unfinished' and code >= FIRST_TERMINAL)
  if refused then
    -- A client that lost the answer asks again: it must not take its own record for somebody else's.
    if over == 'nothing' and again ~= '1' then
      return 0
    end
    if redis.call('GET', KEYS[1]) ~= record or (redis.call('GET', KEYS[2]) or '') ~= beside then
      return 0
    end
  end
end

local function put(key, bytes)
  if life_ms == '' then
    redis.call('SET', key, bytes)
  else
    redis.call('SET', key, bytes, 'PX', life_ms)
  end
end

-- The record first: when Redis is out of memory its SET fails and nothing is changed. Once a script has written,
-- Redis lets it finish.
put(KEYS[1], record)
if beside == '' then
  redis.call('UNLINK', KEYS[2])
else
  put(KEYS[2], beside)
end
-- Last, so that nothing is announced that was not written.
redis.call('PUBLISH', channel, event)
return 1
