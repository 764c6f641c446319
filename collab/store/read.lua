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
local ends = redis.call('LRANGE', KEYS[4], 0, -1)
local head = redis.call('HMGET', KEYS[3], 'epoch', 'tail', 'base_id', 'origin', 'base')
if not head[1] or redis.call('EXISTS', KEYS[2]) == 0 then
  return {'none', ends, redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1])}
end
local ttl, last = redis.call('PTTL', KEYS[2]), ARGV[2]
if head[1] == ARGV[1]
  and (last == head[3] or #redis.call('XRANGE', KEYS[2], last, last) == 1) then
  return {'since', ends, head[2], ttl, redis.call('XRANGE', KEYS[2], '(' .. last, '+')}
end
return {'all', ends, head[2], ttl, redis.call('XRANGE', KEYS[2], '-', '+'), head[1], head[4],
  head[5], head[3]}
