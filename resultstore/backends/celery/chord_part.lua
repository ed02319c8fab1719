-- One header task of a chord has ended: count it once, however often it was delivered, and let one caller finish.
-- KEYS  the parts (.j), how many were added meanwhile (.t), the size (.s), the counted (.d), the group, the claim (.c)
-- ARGV  task id and header index; the part; its score ("" when parts are in the order they ended); life in s and the
--       group's (0 for ever); the claim's in s; the caller's token
-- Returns 1 when the caller has to finish the chord, else 0.
local parts, added, size, counted, group, claim = unpack(KEYS)
local member, part, score, life_s, group_life_s, claim_s, token = unpack(ARGV)

local claimed_by, wanted, extra = unpack(redis.call('MGET', claim, size, added))
if claimed_by == 'done' then
  return {0} -- a late copy must not begin the chord anew
end

if redis.call('SADD', counted, member) == 1 then
  if score == '' then
    redis.call('RPUSH', parts, part)
  else
    -- The same task can stand in a header twice; a set would merge the two. Space is no part of the value.
    while redis.call('ZADD', parts, score, part) == 0 do
      part = part .. ' '
    end
  end
  if life_s ~= '0' then
    for _, key in ipairs({parts, added, size, counted}) do
      redis.call('EXPIRE', key, life_s)
    end
    if group_life_s ~= '0' then
      redis.call('EXPIRE', group, group_life_s)
    end
  end
end

-- Not the counted: a worker of an older version brings its part without saying whose it is.
local here = redis.call(score == '' and 'LLEN' or 'ZCARD', parts)
if not wanted or here < tonumber(wanted) + tonumber(extra or 0) then
  return {0}
end
-- A caller that lost the answer asks again with the same token.
if claimed_by == token or redis.call('SET', claim, token, 'NX', 'EX', claim_s) then
  return {1}
end
return {0}
