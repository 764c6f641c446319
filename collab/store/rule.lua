-- Record a ruling about a person's tokens, append it to the log of rulings, and wake up the nodes:
-- all or nothing.
-- In a Redis Cluster the words of sharded channels take the place of PUBLISH and NUMSUB (scripts.py).
--
-- KEYS  1 record       the hash of the rulings about one subject in one room, or in all
--       2 log          the stream of all rulings
-- ARGV  1 ttl          milliseconds to keep the record, unless it is kept longer anyway
--       2 max_entries  about how many entries the log keeps
--       3 entry        the ruling, for the log
--       4 channel      the channel of the rulings
--       5 message      the message that wakes up the nodes
--       6... field, value   of the record: those of earlier rulings stay if they are not named
--
-- Returns the id of the log's entry, which is also the record's field id.
local record_key, log_key = KEYS[1], KEYS[2]
local ttl, max_entries, entry = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local channel, message = ARGV[4], ARGV[5]
local FIRST_FIELD = 6

local id = redis.call('XADD', log_key, 'MAXLEN', '~', max_entries, '*', 'ruling', entry)
ttl = math.max(ttl, redis.call('PTTL', record_key))
redis.call('HSET', record_key, 'id', id)
for i = FIRST_FIELD, #ARGV, 2 do
  redis.call('HSET', record_key, ARGV[i], ARGV[i + 1])
end
redis.call('PEXPIRE', record_key, ttl)
redis.call('PUBLISH', channel, message)
return id
