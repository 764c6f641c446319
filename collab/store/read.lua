-- Read the part of a room's journal that a node does not have yet.
--
-- KEYS  1 code_{room}  2 journal  3 journal-head  4 journal-ended
-- ARGV  1 epoch        the journal the node knows; '' if none; '*' if it knows the entry `last` only
--       2 last         the last entry it has applied
--
-- Returns  {'none', ends, code, ttl}             there is no journal; code is code_{room}, if any
--          {'since', ends, tail, ttl, entries}   the entries after `last`
--          {'all', ends, tail, ttl, entries, epoch, origin, base, base_id}   the whole journal: the
--                       node knows another journal, or an entry that this one no longer has
-- ends are the names of the room's ends, newest first; ttl is in milliseconds, as PTTL returns it.
local code_key, journal_key, head_key, ends_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local epoch, last = ARGV[1], ARGV[2]

local ends = redis.call('LRANGE', ends_key, 0, -1)
local head = redis.call('HMGET', head_key, 'epoch', 'tail', 'base_id', 'origin', 'base')
if not head[1] or redis.call('EXISTS', journal_key) == 0 then
  return {'none', ends, redis.call('GET', code_key), redis.call('PTTL', code_key)}
end
local ttl = redis.call('PTTL', journal_key)
if (head[1] == epoch or epoch == '*')
  and (last == head[3] or #redis.call('XRANGE', journal_key, last, last) == 1) then
  return {'since', ends, head[2], ttl, redis.call('XRANGE', journal_key, '(' .. last, '+')}
end
return {'all', ends, head[2], ttl, redis.call('XRANGE', journal_key, '-', '+'), head[1],
  head[4], head[5], head[3]}
