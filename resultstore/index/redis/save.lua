-- One transition of one Result: compare, write, expire, announce. Atomic, one Cluster slot.
-- KEYS  the record, what lies beside it
-- ARGV  over ("anything", "unfinished", "nothing"; "unreadable": what Python could not read; "all": a tombstone); "1" when the same call may have been carried out before;
--       record; beside ("" for none); life in ms ("" forever); channel; event;
--       the channel of what nobody owns ("" for a Result with an owner)
-- Returns 1 when what was asked for now stands, else 0.
local over, again, record, beside, life_ms, channel, event, unowned = unpack(ARGV)
local SUCCESS, FIRST_TERMINAL, BESIDE, REVOKED, DELETED = 127, 64, 4, 64, 32

local function put(key, bytes, ...)
  if life_ms == '' then
    return redis.call('SET', key, bytes, ...)
  end
  return redis.call('SET', key, bytes, 'PX', life_ms, ...)
end

-- The record first: when Redis is out of memory its SET fails and nothing is changed. Once a script has written,
-- Redis lets it finish. Mostly nothing stands there yet, and then this is all that is to be done.
local lay_beside = false
if not put(KEYS[1], record, 'NX') then
  -- The third and fourth bytes of a record are its state's code and its flags, in every format (docs/format.md).
  local head = redis.call('GETRANGE', KEYS[1], 0, 3)
  local code, flags = string.byte(head, 3), string.byte(head, 4)
  if flags then
    local is_tombstone = code == REVOKED and math.floor(flags / DELETED) % 2 == 1
    local refused = over == 'nothing'
      or (code == SUCCESS and over ~= 'unreadable')
      or is_tombstone
      or (over == 'unfinished' and code >= FIRST_TERMINAL)
    if refused and over ~= 'all' then
      -- A client that lost the answer asks again: it must not take its own record for somebody else's.
      if over == 'nothing' and again ~= '1' then
        return 0
      end
      if redis.call('GET', KEYS[1]) ~= record or (redis.call('GET', KEYS[2]) or '') ~= beside then
        return 0
      end
    end
    lay_beside = math.floor(flags / BESIDE) % 2 == 1
  end
  put(KEYS[1], record)
end

if beside ~= '' then
  put(KEYS[2], beside)
elseif lay_beside then
  redis.call('UNLINK', KEYS[2])
end
-- Last, so that nothing is announced that was not written.
redis.call('PUBLISH', channel, event)
if unowned ~= '' then
  redis.call('PUBLISH', unowned, ' ' .. event)
end
return 1
