-- An owner's list and stream of Events, after a transition: hints, never the truth. One Cluster slot.
-- KEYS  the sorted set of ids, the stream
-- ARGV  id; when it was made (epoch seconds; "" when it is gone); life in ms ("" for ever); event; most ids; most events;
--       the owner's channel
local id, made_at, life_ms, event, most_ids, most_events, channel = unpack(ARGV)

-- Both keys live as long as the longest-lived Result that they speak of. `before` is PTTL: -2 no key, -1 for ever.
local function outlive(key, before)
  if life_ms == '' then
    redis.call('PERSIST', key)
  elseif before == -2 or (before >= 0 and before < tonumber(life_ms)) then
    redis.call('PEXPIRE', key, life_ms)
  end
end

local list_before, stream_before = redis.call('PTTL', KEYS[1]), redis.call('PTTL', KEYS[2])
if made_at == '' then
  redis.call('ZREM', KEYS[1], id)
else
  redis.call('ZADD', KEYS[1], 'NX', made_at, id)
  redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - tonumber(most_ids))
end
local at = redis.call('XADD', KEYS[2], 'MAXLEN', '~', most_events, '*', 'e', event)
outlive(KEYS[1], list_before)
outlive(KEYS[2], stream_before)
-- Who listens learns the Event's place too, so that he knows what he has missed when the connection is lost.
redis.call('PUBLISH', channel, at .. ' ' .. event)
return 1
