-- Append updates to a room's journal, set the snapshot and announce the commit: all or nothing.
-- In a Redis Cluster the words of sharded channels take the place of PUBLISH and NUMSUB (scripts.py).
--
-- KEYS  1 code_{room}  2 journal  3 journal-head
-- ARGV  1 epoch        the journal the node knows
--       2 last         the last entry it has applied
--       3 ttl          milliseconds that all keys live from now on, unless they live longer anyway
--       4 mode         'exact': refuse the commit if the tail is not `last`; 'append': append even
--                      then, and leave the snapshot to a node that has applied all entries
--       5 text         the text after the entries up to `last` and these updates
--       6 channel      the channel of the announcement
--       7 writer       the node that commits, for the announcement; and its span, if it is traced
--       8 update       all updates merged, for the announcement
--       9 own          subscriptions of the channel that are the node's own: the commit is announced
--                      only if there are more
--       10 nonce       a random number, the second half of the new ids; a commit that is sent
--                      again, because Redis did not answer, has the same nonce
--       11... author, update    one entry each; if there are none, only the expiry is refreshed
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
local channel, writer, update, own, nonce = ARGV[6], ARGV[7], ARGV[8], tonumber(ARGV[9]), ARGV[10]
local FIRST_ENTRY = 11
-- Milliseconds by which a commit must prolong the room's life: to set three expiries costs as much
-- as to append the entry.
local WORTHWHILE = 1000
-- Bytes that no journal has: somebody else has written the number, and it is counted anew.
local MAX_BYTES = 2 ^ 40

local head = redis.call('HMGET', head_key, 'epoch', 'tail', 'base_id', 'bytes')
local tail, base_id, bytes = head[2], head[3], tonumber(head[4])
-- Whatever is wrong must be found before the first write: a script that fails later has done a part.
if not (bytes and bytes >= 0 and bytes < MAX_BYTES) then
  bytes = 0
  for _, entry in ipairs(redis.call('XRANGE', journal_key, '-', '+')) do
    bytes = bytes + #(entry[2][4] or '')
  end
end
local left = redis.call('PTTL', journal_key)
if head[1] ~= epoch or left == -2 then
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

-- An id is a time later than the tail's, and a random number. A Redis that restarts with older
-- data or a slower clock must not use an id twice: a node that holds the lost entry would take the
-- other entry for the lost one.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local id = tail
for i = FIRST_ENTRY, #ARGV, 2 do
  local author, entry = ARGV[i], ARGV[i + 1]
  now = math.max(now, tonumber(string.match(id, '^%d+')) + 1)
  id = string.format('%.0f-%s', now, nonce)
  redis.call('XADD', journal_key, id, 'a', author, 'u', entry)
  bytes = bytes + #entry
end
-- A commit that restores a lost room has the room's remaining time as its ttl, which must not
-- shorten the life that other commits gave the room.
if ttl < left + WORTHWHILE then
  ttl = left
else
  redis.call('PEXPIRE', journal_key, ttl)
  redis.call('PEXPIRE', head_key, ttl)
end
if tail == last then
  redis.call('SET', code_key, text, 'PX', ttl)
  redis.call('HSET', head_key, 'tail', id, 'bytes', bytes, 'snap', id)
else
  redis.call('PEXPIRE', code_key, ttl)
  redis.call('HSET', head_key, 'tail', id, 'bytes', bytes)
end
if redis.call('PUBSUB', 'NUMSUB', channel)[2] > own then
  local words = table.concat({'J', epoch, writer, tail, id, ttl}, ' ')
  redis.call('PUBLISH', channel, words .. '\n' .. update)
end
return {'ok', id, ttl, redis.call('XLEN', journal_key), bytes, missed}
