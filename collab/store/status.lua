-- Return a room's text and the time of its last change, for a node that does not hold the room.
--
-- KEYS  1 code_{room}  2 journal  3 journal-head
--
-- Returns  {code, tail, snap, ttl}: code is false if code_{room} does not exist; tail is the last
-- entry of the journal, snap the last entry that code contains, both '' if there is no journal; ttl
-- is the PTTL of the journal, or of code_{room} if there is no journal. Returns the error DAMAGED and a
-- reason if the keys are not what the scripts write.
local code_key, journal_key, head_key = KEYS[1], KEYS[2], KEYS[3]

local head = redis.call('HMGET', head_key, 'epoch', 'tail', 'snap')
local code = redis.pcall('GET', code_key)
if redis.call('EXISTS', head_key, journal_key) == 0 then
  return type(code) == 'table' and code or {code, '', '', redis.call('PTTL', code_key)}
end
if not (head[1] and head[2] and head[3]) or redis.call('EXISTS', journal_key) == 0 then
  return redis.error_reply('DAMAGED the head lacks a field, or there is no journal')
end
if type(code) == 'table' then
  code = false -- the journal has the text
end
return {code, head[2], head[3], redis.call('PTTL', journal_key)}
