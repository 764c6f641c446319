-- Replace what is damaged of a room, if nothing of the room has changed since it was inspected.
--
-- KEYS  1 code_{room}  2 journal  3 journal-head  4 journal-ended
--       5-8            names under which these are kept when they are replaced
--       9-12           names in place of those if these are taken, by what was kept before
-- ARGV  1-4 fingerprints   of the four keys, as inspect.lua returned them
--       5 parts        which keys to replace: 'c' code, 'j' journal and head, 'e' ends; 'x': only set
--                      the expiry of all of them
--       6 kept         milliseconds that the keys are kept which are replaced
--       7 ttl          milliseconds that the room lives from now on
--       8 there        '1' to write code_{room}, '0' to leave the room without
--       9 text         the text for it
--       10 epoch       the new journal's name; '' for no journal
--       11 origin  12 base  13 base_id   of the new journal
--       14 channel  15 writer   as in commit.lua
--       16... id, author, update    the new journal's entries; the id '*' is a new one
--
-- Returns  {'changed'}                   nothing was done: inspect the room again
--          {'ok', id, ttl, length, bytes}   of the room's journal, '0-0', ttl, 0 and 0 if it has none
local FIRST_ENTRY, ROOM_KEYS = 16, 4
local parts, kept, ttl = ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])
local there, text, epoch, origin = ARGV[8] == '1', ARGV[9], ARGV[10], ARGV[11]
local base, base_id, channel, writer = ARGV[12], ARGV[13], ARGV[14], ARGV[15]
local code_key, journal_key, head_key = KEYS[1], KEYS[2], KEYS[3]

for i = 1, ROOM_KEYS do
  if redis.sha1hex(redis.call('DUMP', KEYS[i]) or '') ~= ARGV[i] then
    return {'changed'}
  end
end

-- What was kept first is never thrown away; of all that came later, the latest is kept. So a room that
-- is damaged again and again fills no Redis.
local function keep(i)
  if redis.call('EXISTS', KEYS[i]) == 0 then
    return
  end
  local name = KEYS[i + ROOM_KEYS]
  if redis.call('EXISTS', name) == 1 then
    name = KEYS[i + 2 * ROOM_KEYS]
  end
  redis.call('RENAME', KEYS[i], name)
  redis.call('PEXPIRE', name, kept)
end

if string.find(parts, 'e') then
  keep(4)
end
if string.find(parts, 'c') then
  keep(1)
  if there then
    redis.call('SET', code_key, text, 'PX', ttl)
  end
end
local id, bytes, length = '0-0', 0, 0
if string.find(parts, 'j') then
  keep(2)
  keep(3)
  if epoch ~= '' then
    for i = FIRST_ENTRY, #ARGV, 3 do
      id = redis.call('XADD', journal_key, ARGV[i], 'a', ARGV[i + 1], 'u', ARGV[i + 2])
      bytes = bytes + #ARGV[i + 2]
      length = length + 1
    end
    redis.call('HSET', head_key, 'epoch', epoch, 'tail', id, 'snap', id, 'base', base,
      'base_id', base_id, 'origin', origin, 'bytes', bytes)
    redis.call('PEXPIRE', journal_key, ttl)
    redis.call('PEXPIRE', head_key, ttl)
  end
  local words = table.concat({'J', epoch == '' and '-' or epoch, writer, '0-0', id, ttl}, ' ')
  redis.call('PUBLISH', channel, words .. '\n')
end
if string.find(parts, 'x') then
  for i = 1, 3 do
    redis.call('PEXPIRE', KEYS[i], ttl)
  end
end
return {'ok', id, ttl, length, bytes}
