-- Return in a few bytes which entry a room's journal ends with and which one its snapshot holds.
--
-- KEYS  1 code_{room}  2 journal  3 journal-head
--
-- Returns  {epoch, tail, snap, digest, ttl}: epoch is '' if there is no journal; snap is the last
-- entry that the snapshot contains; digest is the SHA-1 of code_{room}, '' if that key is missing, 'no
-- text' if it is no string; ttl is the journal's, in milliseconds.
local code_key, journal_key, head_key = KEYS[1], KEYS[2], KEYS[3]

local head = redis.call('HMGET', head_key, 'epoch', 'tail', 'snap')
-- A key of another type has no digest that a text can have, so the node sets the snapshot.
local code = redis.pcall('GET', code_key)
local digest = ''
if type(code) == 'table' then
  digest = 'no text'
elseif code then
  digest = redis.sha1hex(code)
end
if not head[1] or redis.call('EXISTS', journal_key) == 0 then
  return {'', '', '', digest, -2}
end
return {head[1], head[2], head[3], digest, redis.call('PTTL', journal_key)}
