-- Count a header task that has ended once, however often it was delivered, and let one caller finish the chord.
-- KEYS  the parts (.j), how many were added later (.t), the size (.s), the counted (.d), the group, the claim (.c),
--       the outbox (.b)
-- ARGV  task id and header index; the part; its score ("" when parts are in the order they ended); life in s and the
--       group's (0: no limit); the claim's in s; the caller's token; the body ("" until the caller has listed the chord)
-- Returns 1 when the caller has to finish the chord; 2 when this is the last part and the caller has to list the chord
-- before it is counted; else 0.
local parts, added, size, counted, group, claim, outbox = unpack(KEYS)
local member, part, score, life_s, group_life_s, claim_s, token, body = unpack(ARGV)

local claimed_by, wanted, extra = unpack(redis.call('MGET', claim, size, added))
if claimed_by == 'done' then
  return {0} -- a late copy must not start the chord again
end

-- Not the size of `counted`: a worker of an older version adds its part without its member.
local here = redis.call(score == '' and 'LLEN' or 'ZCARD', parts)
local new = redis.call('SISMEMBER', counted, member) == 0
local complete = wanted and here + (new and 1 or 0) >= tonumber(wanted) + tonumber(extra or 0)
if complete and body == '' then
  return {2} -- counted first, the body would be unknown to all workers if the caller were killed
end

local function keep(...)
  if life_s ~= '0' then
    for _, key in ipairs({...}) do
      redis.call('EXPIRE', key, life_s)
    end
  end
end

if new then
  redis.call('SADD', counted, member)
  if score == '' then
    redis.call('RPUSH', parts, part)
  else
    -- The same task can be in a header twice; a set would merge the two. The space is not part of the value.
    while redis.call('ZADD', parts, score, part) == 0 do
      part = part .. ' '
    end
  end
  keep(parts, added, size, counted)
  if life_s ~= '0' and group_life_s ~= '0' then
    redis.call('EXPIRE', group, group_life_s)
  end
end
if not complete then
  return {0}
end

redis.call('SET', outbox, body, 'NX')
keep(outbox)
-- A caller that lost the answer asks again with the same token.
if claimed_by == token or redis.call('SET', claim, token, 'NX', 'EX', claim_s) then
  return {1}
end
return {0}
