-- Remove a record and what lies beside it, but leave a tombstone. One Cluster slot.
-- KEYS  the record, what lies beside it
-- Returns 1 when nothing is there any more, 0 where a tombstone is.
local REVOKED, DELETED = 64, 32
local head = redis.call('GETRANGE', KEYS[1], 0, 3)
local code, flags = string.byte(head, 3), string.byte(head, 4)
if flags and code == REVOKED and math.floor(flags / DELETED) % 2 == 1 then
  return 0
end
redis.call('UNLINK', KEYS[1], KEYS[2])
return 1
