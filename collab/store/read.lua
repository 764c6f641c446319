-- Read what a node needs to know a room's journal to its end.
--
-- KEYS  1 code_{room}  2 journal  3 journal-head  4 journal-ended
-- ARGV  1 epoch        the journal the node knows; '' if none
--       2 last         the last entry it has applied
--
-- Returns  {'none', ends, code, ttl}             no journal; code_{room} if there is one
--          {'since', ends, tail, ttl, entries}   the entries behind `last`
--          {'all', ends, tail, ttl, entries, epoch, origin, base, base_id}   everything: the node
--                       knows another journal, or entries that this one no longer has
-- ends are the names of the room's ends, newest first; ttl in milliseconds, as PTTL gives it.
local code_key, journal_key, head_key, ends_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local epoch, last = ARGV[1], ARGV[2]

local ends = redis.call('LRANGE', ends_key, 0, -1)
local head = redis.call('HMGET', head_key, 'epoch', 'tail', 'base_id', 'origin', 'base')
if not head[1] or redis.call('EXISTS', journal_key) == 0 then
  return {'none', ends, redis.call('GET', code_key), redis.call('PTTL', code_key)}
end
local ttl = redis.call('PTTL', journal_key)
if head[1] == epoch
  and (last == head[3] or #redis.call('XRANGE', journal_key, last, last) == 1) then
  return {'since', ends, head[2], ttl, redis.call('XRANGE', journal_key, '(' .. last, '+')}
end
return {'all', ends, head[2], ttl, redis.call('XRANGE', journal_key, '-', '+'), head[1],
  head[4], head[5], head[3]}
