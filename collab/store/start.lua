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
--       10 known_end   the room's newest end that the node knows, '' if none; '*' if it begins
--                      a room anew: a room that is written back must not bring back an ended one
--       11... author, update   as in commit.lua
--
-- Returns  {'epoch'} or {'other'}   another journal, or another text, is there: read it
--          {'ended'}                the room was ended meanwhile: read it
--          {'ok', id, ttl, length, bytes}   ttl is the room's
local code_key, journal_key, head_key, ends_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local there, expected, epoch, ttl = ARGV[1] == '1', ARGV[2], ARGV[3], tonumber(ARGV[4])
local origin, text, channel, header, update = ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local known_end = ARGV[10]
local FIRST_ENTRY = 11

if redis.call('HEXISTS', head_key, 'epoch') == 1 and redis.call('EXISTS', journal_key) == 1 then
  return {'epoch'}
end
local newest_end = redis.call('LINDEX', ends_key, 0)
if newest_end and known_end ~= '*' and newest_end ~= known_end then
  return {'ended'}
end
local found = redis.call('GET', code_key)
if (found ~= false) ~= there or (found or '') ~= expected then
  return {'other'}
end
-- A write that Redis refuses when it is full comes first: after any other it refuses none of this
-- script's, and new rooms would go on where old ones can't be saved.
redis.call('HSET', head_key, 'epoch', epoch)
redis.call('DEL', journal_key, head_key)

local id, bytes = '0-0', 0
for i = FIRST_ENTRY, #ARGV, 2 do
  local author, entry = ARGV[i], ARGV[i + 1]
  id = redis.call('XADD', journal_key, '*', 'a', author, 'u', entry)
  bytes = bytes + #entry
end
redis.call('HSET', head_key, 'epoch', epoch, 'tail', id, 'snap', id, 'base', '', 'base_id', '0-0',
  'origin', origin, 'bytes', bytes)
if origin == 'starter' then
  local left = redis.call('PTTL', code_key)
  if left > 0 then ttl = left else redis.call('PEXPIRE', code_key, ttl) end
else
  redis.call('SET', code_key, text, 'PX', ttl)
end
redis.call('PEXPIRE', journal_key, ttl)
redis.call('PEXPIRE', head_key, ttl)
redis.call('PUBLISH', channel, header .. ' 0-0 ' .. id .. ' ' .. ttl .. '\n' .. update)
return {'ok', id, ttl, redis.call('XLEN', journal_key), bytes}
