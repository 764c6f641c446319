-- Begin a room's journal, if there is still none and code_{room} is still what the node has read.
-- In a Redis Cluster the words of sharded channels take the place of PUBLISH and NUMSUB (scripts.py).
--
-- KEYS  1 code_{room}  2 journal  3 journal-head  4 journal-ended
-- ARGV  1 there        '1' if code_{room} is expected to be there, '0' if not
--       2 expected     its expected text
--       3 epoch        the new journal's name
--       4 ttl          milliseconds that all keys live from now on; a starter that has an expiry
--                      keeps its own
--       5 origin       'starter': another service wrote the text, which stays as it is;
--                      'room': the text comes from a member or from a node that holds the room
--       6 text         the text after the updates
--       7 channel  8 writer  9 update   as in commit.lua
--       10 known_end   the newest end of the room that the node knows, '' if none: a node that
--                      restores a lost room must not restore an ended one; '*' for a new room
--       11... author, update   as in commit.lua
--
-- Returns  {'epoch'} or {'other'}   there is another journal, or another text: the node must read
--          {'ended'}                the room was ended in the meantime: the node must read
--          {'ok', id, ttl, length, bytes}   ttl is the room's
local code_key, journal_key, head_key, ends_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local there, expected, epoch, ttl = ARGV[1] == '1', ARGV[2], ARGV[3], tonumber(ARGV[4])
local origin, text, channel, writer, update = ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local known_end = ARGV[10]
local FIRST_ENTRY = 11

-- If only one of them is there, it is damaged, and not for this node to delete.
if redis.call('EXISTS', head_key, journal_key) > 0 then
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
-- The first write must be one that a full Redis refuses. After a write that it accepts, Redis refuses
-- none of the same script; new rooms would then work while old ones can't be saved.
redis.call('HSET', head_key, 'epoch', epoch)
redis.call('DEL', head_key)

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
local words = table.concat({'J', epoch, writer, '0-0', id, ttl}, ' ')
redis.call('PUBLISH', channel, words .. '\n' .. update)
return {'ok', id, ttl, redis.call('XLEN', journal_key), bytes}
