-- Fold the oldest entries of a room's journal into its base.
--
-- KEYS  1 code_{room}  2 journal  3 journal-head
-- ARGV  1 epoch
--       2 from         the base's entry that the node started from
--       3 to           the last entry that is in the new base
--       4 first        the least entry id behind `to`
--       5 base         the new base: what all entries up to `to` add up to
--       6 bytes        how many bytes of updates those entries held
--
-- Returns 1 if it was folded, 0 if somebody else was first, the journal is another, or it went
-- back in time and does not hold `to` any more.
local head = redis.call('HMGET', KEYS[3], 'epoch', 'base_id')
if head[1] ~= ARGV[1] or head[2] ~= ARGV[2]
  or #redis.call('XRANGE', KEYS[2], ARGV[3], ARGV[3]) == 0 then
  return 0
end
redis.call('HSET', KEYS[3], 'base', ARGV[5], 'base_id', ARGV[3])
redis.call('HINCRBY', KEYS[3], 'bytes', -tonumber(ARGV[6]))
redis.call('XTRIM', KEYS[2], 'MINID', ARGV[4])
return 1
