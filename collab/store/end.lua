-- End a room: delete its keys, record the end, and announce the end: all or nothing.
-- In a Redis Cluster the words of sharded channels take the place of PUBLISH and NUMSUB (scripts.py).
--
-- KEYS  1 code_{room}  2 journal  3 journal-head  4 journal-ended
-- ARGV  1 channel      the channel of the announcement
--       2 message      the announcement
--       3 end_name     a random name for this end
--       4 ttl          maximum lifetime of a room in milliseconds, unless this room has longer
--       5 doubt        milliseconds to keep the end after that: as long as a node that missed the
--                      announcement might believe that Redis has lost the room
--       6 max_ends     maximum number of ends to keep
--       7 force        '1': record the end even if the room has no keys (it expired, or nobody has
--                      written in it) but still has members
--
-- Returns 1 if the room had keys; else 0, and nothing is done unless `force`.
local code_key, journal_key, head_key, ends_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local channel, message, end_name = ARGV[1], ARGV[2], ARGV[3]
local ttl, doubt, max_ends = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local force = ARGV[7] == '1'

ttl = math.max(ttl, redis.call('PTTL', journal_key))
local found = redis.call('EXISTS', code_key, journal_key, head_key)
if found == 0 and not force then
  return 0
end
redis.call('LPUSH', ends_key, end_name) -- first: it fails if the key is no list
redis.call('LTRIM', ends_key, 0, max_ends - 1)
redis.call('PEXPIRE', ends_key, ttl + doubt)
redis.call('DEL', code_key, journal_key, head_key)
redis.call('PUBLISH', channel, message)
return found > 0 and 1 or 0
