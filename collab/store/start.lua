-- Begin a room's journal, if it still has none and code_{room} is still what the node read.
--
-- KEYS  1 code_{room}  2 journal  3 journal-head  4 journal-ended
-- ARGV  1 there        '1' if code_{room} is expected to be there, '0' if not
--       2 expected     its text then
--       3 epoch        the new journal's name
--       4 ttl          milliseconds all keys live from now; for a starter, which keeps the time
--                      that it was given, only if it was given none
--       5 origin       'starter': the text was put there by somebody else and stays as it is;
--                      'room': it comes from a member or from a node that holds the room
--       6 text         what the updates add up to
--       7 channel  8 header  9 update   as in commit.lua
--       10 ended       the room's newest end that the node knows, '' if none; '*' from whoever
--                      begins a room anew: what is written back must not bring back what was ended
--       11... author, update   as in commit.lua
--
-- Returns  {'epoch'} or {'other'}   another journal, or another text, is there: read it
--          {'ended'}                the room was ended meanwhile: read it
--          {'ok', id, ttl, length, bytes}   ttl is the room's
if redis.call('HEXISTS', KEYS[3], 'epoch') == 1 and redis.call('EXISTS', KEYS[2]) == 1 then
  return {'epoch'}
end
local ended = redis.call('LINDEX', KEYS[4], 0)
if ended and ARGV[10] ~= '*' and ended ~= ARGV[10] then
  return {'ended'}
end
local found = redis.call('GET', KEYS[1])
if (found or '') ~= ARGV[2] or (found and '1' or '0') ~= ARGV[1] then
  return {'other'}
end
-- A write that Redis refuses when it is full comes first: after any other it refuses none of this
-- script's, and new rooms would go on where old ones can't be saved.
redis.call('HSET', KEYS[3], 'epoch', ARGV[3])
redis.call('DEL', KEYS[2], KEYS[3])

local id, bytes = '0-0', 0
for i = 11, #ARGV, 2 do
  id = redis.call('XADD', KEYS[2], '*', 'a', ARGV[i], 'u', ARGV[i + 1])
  bytes = bytes + #ARGV[i + 1]
end
redis.call('HSET', KEYS[3], 'epoch', ARGV[3], 'tail', id, 'snap', id, 'base', '', 'base_id', '0-0',
  'origin', ARGV[5], 'bytes', bytes)
local ttl = tonumber(ARGV[4])
if ARGV[5] == 'starter' then
  local left = redis.call('PTTL', KEYS[1])
  if left > 0 then ttl = left else redis.call('PEXPIRE', KEYS[1], ttl) end
else
  redis.call('SET', KEYS[1], ARGV[6], 'PX', ttl)
end
redis.call('PEXPIRE', KEYS[2], ttl)
redis.call('PEXPIRE', KEYS[3], ttl)
redis.call('PUBLISH', ARGV[7], ARGV[8] .. ' 0-0 ' .. id .. ' ' .. ttl .. '\n' .. ARGV[9])
return {'ok', id, ttl, redis.call('XLEN', KEYS[2]), bytes}
