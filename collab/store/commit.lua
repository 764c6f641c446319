-- Append updates to a room's journal, set the snapshot and announce the commit: all or nothing.
--
-- KEYS  1 code_{room}  2 journal  3 journal-head
-- ARGV  1 epoch        the journal the node knows
--       2 last         the last entry it has applied
--       3 ttl          milliseconds that all keys live from now on, unless they live longer anyway
--       4 mode         'exact': refuse the commit if the tail is not `last`; 'append': append even
--                      then, and leave the snapshot to a node that has applied all entries
--       5 text         the text after the entries up to `last` and these updates
--       6 channel      the channel of the announcement
--       7 header       the first words of the announcement: 'J epoch writer'
--       8 update       all updates merged, for the announcement
--       9 nonce        a random number, the second half of the new ids; a commit that is sent
--                      again, because Redis did not answer, has the same nonce
--       10... author, update    one entry each; if there are none, only the expiry is refreshed
--
-- Returns  {'epoch'}             there is another journal, or none: the node must read it
--          {'lost'}              `last` is not in the journal, because Redis has lost entries: the
--                                node must read the journal
--          {'behind', entries}   others committed first: the node must apply these and retry
--          {'ok', id, ttl, length, bytes, entries}   id is the last entry now, ttl the room's;
--                                `entries` (mode 'append' only) are those between `last` and the
--                                first one appended here
local code_key, journal_key, head_key = KEYS[1], KEYS[2], KEYS[3]
local epoch, last, ttl, mode, text = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local channel, header, update, nonce = ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local FIRST_ENTRY = 10

local head = redis.call('HMGET', head_key, 'epoch', 'tail', 'base_id')
local tail, base_id = head[2], head[3]
if head[1] ~= epoch or redis.call('EXISTS', journal_key) == 0 then
  return {'epoch'}
end
local missed = {}
if tail ~= last then
  if last ~= base_id and #redis.call('XRANGE', journal_key, last, last) == 0 then
    return {'lost'}
  end
  missed = redis.call('XRANGE', journal_key, '(' .. last, '+')
  if mode == 'exact' then
    return {'behind', missed}
  end
end

-- A commit that restores a lost room has the room's remaining time as its ttl, which must not
-- shorten the life that other commits gave the room.
ttl = math.max(ttl, redis.call('PTTL', journal_key))
-- An id is a time later than the tail's, and a random number. A Redis that restarts with older
-- data or a slower clock must not use an id twice: a node that holds the lost entry would take the
-- other entry for the lost one.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local id, bytes = tail, 0
for i = FIRST_ENTRY, #ARGV, 2 do
  local author, entry = ARGV[i], ARGV[i + 1]
  now = math.max(now, tonumber(string.match(id, '^%d+')) + 1)
  id = string.format('%.0f-%s', now, nonce)
  redis.call('XADD', journal_key, id, 'a', author, 'u', entry)
  bytes = bytes + #entry
end
bytes = redis.call('HINCRBY', head_key, 'bytes', bytes)
redis.call('HSET', head_key, 'tail', id)
if tail == last then
  redis.call('SET', code_key, text, 'PX', ttl)
  redis.call('HSET', head_key, 'snap', id)
else
  redis.call('PEXPIRE', code_key, ttl)
end
redis.call('PEXPIRE', journal_key, ttl)
redis.call('PEXPIRE', head_key, ttl)
redis.call('PUBLISH', channel, header .. ' ' .. tail .. ' ' .. id .. ' ' .. ttl .. '\n' .. update)
return {'ok', id, ttl, redis.call('XLEN', journal_key), bytes, missed}
