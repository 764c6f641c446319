-- Compact the oldest entries of a room's journal into its base.
--
-- KEYS  1 code_{room}  2 journal  3 journal-head
-- ARGV  1 epoch
--       2 old_last     the last entry in the base that the node has read
--       3 new_last     the last entry in the new base
--       4 keep_from    the lowest entry id after `new_last`
--       5 base         the new base: all entries up to `new_last`, merged
--       6 bytes        the size of the updates in those entries
--       7... author    their authors: the base says no more who wrote it
--
-- Returns 1 if the journal was compacted; 0 if another node did that first, if there is another
-- journal, or if Redis has lost `new_last`.
local journal_key, head_key = KEYS[2], KEYS[3]
local epoch, old_last, new_last = ARGV[1], ARGV[2], ARGV[3]
local keep_from, base, bytes = ARGV[4], ARGV[5], tonumber(ARGV[6])
local FIRST_AUTHOR = 7
-- Authors of the base that the head keeps, as its fields: a room has a few people.
local MAX_FIELDS = 1000

local head = redis.call('HMGET', head_key, 'epoch', 'base_id', 'bytes')
if head[1] ~= epoch or head[2] ~= old_last
  or #redis.call('XRANGE', journal_key, new_last, new_last) == 0 then
  return 0
end
local left = math.max(0, (tonumber(head[3]) or 0) - bytes)
redis.call('HSET', head_key, 'base', base, 'base_id', new_last, 'bytes', left)
for i = FIRST_AUTHOR, #ARGV do
  if redis.call('HLEN', head_key) < MAX_FIELDS then
    redis.call('HSETNX', head_key, 'author:' .. ARGV[i], '')
  end
end
redis.call('XTRIM', journal_key, 'MINID', keep_from)
return 1
