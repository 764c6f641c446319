-- Return what tells whether a room lives, and until when, for the webhooks.
--
-- KEYS  1 code_{room}  2 journal  3 journal-head  4 journal-ended
--
-- Returns  {epoch, tail, ttl, ended}: epoch and tail are '' if there is no journal; ttl is the
-- journal's, in milliseconds; ended is the newest name in the list of ends, '' if there is none.
local journal_key, head_key, ends_key = KEYS[2], KEYS[3], KEYS[4]

local ended = redis.call('LINDEX', ends_key, 0) or ''
local head = redis.call('HMGET', head_key, 'epoch', 'tail')
if not head[1] or redis.call('EXISTS', journal_key) == 0 then
  return {'', '', -2, ended}
end
return {head[1], head[2], redis.call('PTTL', journal_key), ended}
