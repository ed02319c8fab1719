-- Update an owner's lists and stream of Events after a transition. One Cluster slot.
-- KEYS  the sorted set of ids by creation time; the sorted set of ids by expiry of their stored bytes; the stream
-- ARGV  id; its creation time (epoch seconds; "": do not list it);
--       life of its record in ms ("": forever; "0": no record);
--       expiry of its stored bytes (epoch seconds; "inf": never; "": nothing but the record is stored);
--       event ("" for none); "gone" if it was deleted; maximum of ids; maximum of events; the owner's channel
local id, made_at, life_ms, stored_until, event, gone, most_ids, most_events, channel = unpack(ARGV)
local LISTED, STORED, STREAM = KEYS[1], KEYS[2], KEYS[3]
local FOREVER = math.huge

-- The keys live as long as the longest-lived entry, in ms.
local clock = redis.call('TIME')  -- the server's clock, because the writers' clocks differ
local record_ms = life_ms == '' and FOREVER or tonumber(life_ms)
local stored_ms = 0
if stored_until == 'inf' then
  stored_ms = FOREVER
elseif stored_until ~= '' then
  stored_ms = math.max(1, (tonumber(stored_until) - tonumber(clock[1])) * 1000)
end

-- `before` is the PTTL: -2 for no key, -1 for a key without expiry.
local function outlive(key, before, ms)
  if ms == FOREVER then
    redis.call('PERSIST', key)
  elseif ms > 0 and (before == -2 or (before >= 0 and before < ms)) then
    redis.call('PEXPIRE', key, string.format('%.0f', ms))
  end
end

local before = {}
for at, key in ipairs(KEYS) do before[at] = redis.call('PTTL', key) end
if gone ~= '' then
  redis.call('ZREM', LISTED, id)
  redis.call('ZREM', STORED, id)
end
if made_at ~= '' then
  redis.call('ZADD', LISTED, 'NX', made_at, id)
  redis.call('ZREMRANGEBYRANK', LISTED, 0, -1 - tonumber(most_ids))
end
if stored_until ~= '' then
  -- A later transition may name fewer Artifacts, but the bytes of the others are still stored.
  local known = redis.call('ZSCORE', STORED, id)
  if not known or (known ~= 'inf' and (stored_until == 'inf' or tonumber(stored_until) > tonumber(known))) then
    redis.call('ZADD', STORED, stored_until, id)
  end
end
outlive(LISTED, before[1], math.max(record_ms, stored_ms))
outlive(STORED, before[2], stored_ms)
if event == '' then
  return 1
end
local at = redis.call('XADD', STREAM, 'MAXLEN', '~', most_events, '*', 'e', event)
outlive(STREAM, before[3], record_ms)
-- The message includes the Event's stream id: after a lost connection the subscriber reads on from there.
redis.call('PUBLISH', channel, at .. ' ' .. event)
return 1
