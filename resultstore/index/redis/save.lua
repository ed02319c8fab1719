-- Save one Result: compare, write, expire, announce. Atomic, in one Cluster slot.
-- KEYS  the small record; its larger parts
-- ARGV  over ("anything", "unfinished", "nothing", "unreadable", see Overwrite; "all": write a tombstone);
--       "1" if the same call may have been executed before;
--       record; larger parts ("" for none); life in ms ("": forever); channel; event;
--       the channel of Results without an owner ("" for a Result with an owner)
-- Returns 1 if the record is stored as given, else 0.
local over, again, record, beside, life_ms, channel, event, unowned = unpack(ARGV)
local SUCCESS, FIRST_TERMINAL, BESIDE, REVOKED, DELETED = 127, 64, 4, 64, 32

local function put(key, bytes, ...)
  if life_ms == '' then
    return redis.call('SET', key, bytes, ...)
  end
  return redis.call('SET', key, bytes, 'PX', life_ms, ...)
end

-- The record first: if Redis is out of memory, this SET fails and nothing is changed. After its first write,
-- Redis lets a script finish. Usually there is no record yet, and nothing more to compare.
local had_beside = false
if not put(KEYS[1], record, 'NX') then
  -- In every format, byte 3 of a record is the code of its state, and byte 4 its flags (docs/format.md).
  local head = redis.call('GETRANGE', KEYS[1], 0, 3)
  local code, flags = string.byte(head, 3), string.byte(head, 4)
  if flags then
    local is_tombstone = code == REVOKED and math.floor(flags / DELETED) % 2 == 1
    local refused = over == 'nothing'
      or (code == SUCCESS and over ~= 'unreadable')
      or is_tombstone
      or (over == 'unfinished' and code >= FIRST_TERMINAL)
    if refused and over ~= 'all' then
      -- A client that lost the answer repeats the call, and must recognize the record that it wrote itself.
      if over == 'nothing' and again ~= '1' then
        return 0
      end
      if redis.call('GET', KEYS[1]) ~= record or (redis.call('GET', KEYS[2]) or '') ~= beside then
        return 0
      end
    end
    had_beside = math.floor(flags / BESIDE) % 2 == 1
  end
  put(KEYS[1], record)
end

if beside ~= '' then
  put(KEYS[2], beside)
elseif had_beside then
  redis.call('UNLINK', KEYS[2])
end
-- Last, so that only what was written is announced.
redis.call('PUBLISH', channel, event)
if unowned ~= '' then
  redis.call('PUBLISH', unowned, ' ' .. event)
end
return 1
