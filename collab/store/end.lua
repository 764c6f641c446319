-- End a room: delete it, remember that it was ended, and announce it: all or nothing.
--
-- KEYS  1 code_{room}  2 journal  3 journal-head  4 journal-ended
-- ARGV  1 channel      where to announce
--       2 mark         the announcement
--       3 end          a random name for this end
--       4 ttl          milliseconds a room lives at the most, unless this one has longer
--       5 doubt        milliseconds to remember the end beyond that: as long as a node that did not
--                      hear of it might take the room's absence for a loss
--       6 most         ends to remember at the most
--       7 anyway       '1': even if the room is not here, because it expired, or nobody has written
--                      in it, and members are still in it
--
-- Returns 1 if there was something to end; else 0, and nothing is done unless `anyway`.
local ttl = math.max(tonumber(ARGV[4]), redis.call('PTTL', KEYS[2]))
local found = redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
if found == 0 and ARGV[7] ~= '1' then
  return 0
end
redis.call('LPUSH', KEYS[4], ARGV[3])
redis.call('LTRIM', KEYS[4], 0, ARGV[6] - 1)
redis.call('PEXPIRE', KEYS[4], ttl + ARGV[5])
redis.call('PUBLISH', ARGV[1], ARGV[2])
return found > 0 and 1 or 0
