-- Tell a room's text, and when it was changed, to somebody who does not hold the room.
--
-- KEYS  1 code_{room}  2 journal  3 journal-head
--
-- Returns  {code, tail, snap, ttl}: code is false where there is none; tail is the journal's last
-- entry and snap the entry that code was set with, '' where there is no journal; ttl is what
-- PTTL says of the journal, or of the code where there is no journal.
local code_key, journal_key, head_key = KEYS[1], KEYS[2], KEYS[3]

local head = redis.call('HMGET', head_key, 'epoch', 'tail', 'snap')
local code = redis.call('GET', code_key)
if not head[1] or redis.call('EXISTS', journal_key) == 0 then
  return {code, '', '', redis.call('PTTL', code_key)}
end
return {code, head[2], head[3], redis.call('PTTL', journal_key)}
