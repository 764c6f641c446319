-- Append a room's updates to its journal, set the snapshot and announce it: all or nothing.
--
-- KEYS  1 code_{room}  2 journal  3 journal-head
-- ARGV  1 epoch        the journal the node knows
--       2 last         the last entry it has applied
--       3 ttl          milliseconds all keys live from now, if that is longer than they would
--       4 mode         'exact': refuse a tail other than `last`; 'append': append behind it
--                      all the same, and leave the snapshot to whoever has applied it all
--       5 text         what the entries up to `last` and these updates add up to
--       6 channel      where to announce
--       7 header       the announcement's first words: 'J epoch writer'
--       8 update       the updates merged, for the announcement
--       9 nonce        a random number: the second half of the ids given here; the same if what
--                      was sent before, and not answered, is sent again
--       10... author, update    one entry each; none: only the expiry is refreshed
--
-- Returns  {'epoch'}             another journal, or none: read it
--          {'lost'}              `last` is not in the journal, which went back in time: read it
--          {'behind', entries}   others were first: apply these and try again
--          {'ok', id, ttl, length, bytes, entries}   id is the last entry now, ttl the room's;
--                                `entries` (mode 'append' only) are those between `last` and the
--                                first one appended here
local head = redis.call('HMGET', KEYS[3], 'epoch', 'tail', 'base_id')
local tail, last = head[2], ARGV[2]
if head[1] ~= ARGV[1] or redis.call('EXISTS', KEYS[2]) == 0 then
  return {'epoch'}
end
local missed = {}
if tail ~= last then
  if last ~= head[3] and #redis.call('XRANGE', KEYS[2], last, last) == 0 then
    return {'lost'}
  end
  missed = redis.call('XRANGE', KEYS[2], '(' .. last, '+')
  if ARGV[4] == 'exact' then
    return {'behind', missed}
  end
end

-- What writes back a lost room brings the time that was left: never less than others have given.
local ttl = math.max(tonumber(ARGV[3]), redis.call('PTTL', KEYS[2]))
-- An id is a time, later than the tail's, and random: a server that comes back with older data or
-- a slower clock must not give one twice, or who holds the lost entry takes the other for it.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local id, bytes = tail, 0
for i = 10, #ARGV, 2 do
  now = math.max(now, tonumber(string.match(id, '^%d+')) + 1)
  id = string.format('%.0f-%s', now, ARGV[9])
  redis.call('XADD', KEYS[2], id, 'a', ARGV[i], 'u', ARGV[i + 1])
  bytes = bytes + #ARGV[i + 1]
end
bytes = redis.call('HINCRBY', KEYS[3], 'bytes', bytes)
redis.call('HSET', KEYS[3], 'tail', id)
if tail == last then
  redis.call('SET', KEYS[1], ARGV[5], 'PX', ttl)
  redis.call('HSET', KEYS[3], 'snap', id)
else
  redis.call('PEXPIRE', KEYS[1], ttl)
end
redis.call('PEXPIRE', KEYS[2], ttl)
redis.call('PEXPIRE', KEYS[3], ttl)
redis.call('PUBLISH', ARGV[6], ARGV[7] .. ' ' .. tail .. ' ' .. id .. ' ' .. ttl .. '\n' .. ARGV[8])
return {'ok', id, ttl, redis.call('XLEN', KEYS[2]), bytes, missed}
