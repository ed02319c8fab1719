-- Delete a record with its larger parts, but not a tombstone. One Cluster slot.
-- KEYS  the small record; its larger parts
-- Returns 1 if there is no record any more, 0 if there is a tombstone.
local REVOKED, DELETED = 64, 32
local head = redis.call('GETRANGE', KEYS[1], 0, 3)
local code, flags = string.byte(head, 3), string.byte(head, 4)
if flags and code == REVOKED and math.floor(flags / DELETED) % 2 == 1 then
  return 0
end
redis.call('UNLINK', KEYS[1], KEYS[2])
return 1
