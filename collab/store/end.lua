-- End a room: delete it, remember that it was ended, and announce it: all or nothing.
--
-- KEYS  1 code_{room}  2 journal  3 journal-head  4 journal-ended
-- ARGV  1 channel      where to announce
--       2 message      the announcement
--       3 end_name     a random name for this end
--       4 ttl          milliseconds a room lives at the most, unless this one has longer
--       5 doubt        milliseconds to remember the end beyond that: as long as a node that did not
--                      hear of it might take the room's absence for a loss
--       6 max_ends     ends to remember at the most
--       7 force       '1': even if the room is not here, because it expired, or nobody has written
--                      in it, and members are still in it
--
-- Returns 1 if there was something to end; else 0, and nothing is done unless `force`.
local code_key, journal_key, head_key, ends_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local channel, message, end_name = ARGV[1], ARGV[2], ARGV[3]
local ttl, doubt, max_ends = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local force = ARGV[7] == '1'

ttl = math.max(ttl, redis.call('PTTL', journal_key))
local found = redis.call('DEL', code_key, journal_key, head_key)
if found == 0 and not force then
  return 0
end
redis.call('LPUSH', ends_key, end_name)
redis.call('LTRIM', ends_key, 0, max_ends - 1)
redis.call('PEXPIRE', ends_key, ttl + doubt)
redis.call('PUBLISH', channel, message)
return found > 0 and 1 or 0
