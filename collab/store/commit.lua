-- Append a room's updates to its journal, set the snapshot and announce it: all or nothing.
--
-- KEYS  1 code_{room}  2 journal  3 journal-head
-- ARGV  1 epoch        the journal the node knows
--       2 last         the last entry it has applied
--       3 ttl          milliseconds all keys live from now
--       4 mode         'exact': refuse a tail other than `last`; 'append': append behind it
--                      all the same, and leave the snapshot to whoever has applied it all
--       5 text         what the entries up to `last` and these updates add up to
--       6 channel      where to announce
--       7 header       the announcement's first words: 'J epoch node'
--       8 update       the updates merged, for the announcement
--       9... author, update    one entry each; none: only the expiry is refreshed
--
-- Returns  {'epoch'}             another journal, or none: read it
--          {'lost'}              `last` is not in the journal, which went back in time: read it
--          {'behind', entries}   others were first: apply these and try again
--          {'ok', id, length, bytes, entries}   id is the last entry now; `entries` (mode 'append'
--                                only) are those between `last` and the first one appended here
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

local id, bytes = tail, 0
for i = 9, #ARGV, 2 do
  id = redis.call('XADD', KEYS[2], '*', 'a', ARGV[i], 'u', ARGV[i + 1])
  bytes = bytes + #ARGV[i + 1]
end
bytes = redis.call('HINCRBY', KEYS[3], 'bytes', bytes)
redis.call('HSET', KEYS[3], 'tail', id)
if tail == last then
  redis.call('SET', KEYS[1], ARGV[5], 'PX', ARGV[3])
  redis.call('HSET', KEYS[3], 'snap', id)
else
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
redis.call('PEXPIRE', KEYS[2], ARGV[3])
redis.call('PEXPIRE', KEYS[3], ARGV[3])
redis.call('PUBLISH', ARGV[6], ARGV[7] .. ' ' .. tail .. ' ' .. id .. '\n' .. ARGV[8])
return {'ok', id, redis.call('XLEN', KEYS[2]), bytes, missed}
