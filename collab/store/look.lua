-- Look at a room from outside: its text and when it was changed.
--
-- KEYS  1 code_{room}  2 journal  3 journal-head
--
-- Returns  {code, tail, snap, ttl}: code is false where there is none; tail is the journal's last
-- entry and snap the entry that code was set with, '' where there is no journal; ttl is what
-- PTTL says of the journal, or of the code where there is no journal.
local head = redis.call('HMGET', KEYS[3], 'epoch', 'tail', 'snap')
local code = redis.call('GET', KEYS[1])
if not head[1] or redis.call('EXISTS', KEYS[2]) == 0 then
  return {code, '', '', redis.call('PTTL', KEYS[1])}
end
return {code, head[2], head[3], redis.call('PTTL', KEYS[2])}
