-- Return in a few bytes which entry a room's journal ends with and which one its snapshot holds.
--
-- KEYS  1 code_{room}  2 journal  3 journal-head
--
-- Returns  {epoch, tail, snap, digest, ttl}: epoch is '' if there is no journal; snap is the last
-- entry that the snapshot contains; digest is the SHA-1 of code_{room}, '' if that key is missing;
-- ttl is the journal's, in milliseconds.
local code_key, journal_key, head_key = KEYS[1], KEYS[2], KEYS[3]

local head = redis.call('HMGET', head_key, 'epoch', 'tail', 'snap')
local code = redis.call('GET', code_key)
local digest = code and redis.sha1hex(code) or ''
if not head[1] or redis.call('EXISTS', journal_key) == 0 then
  return {'', '', '', digest, -2}
end
return {head[1], head[2], head[3], digest, redis.call('PTTL', journal_key)}
