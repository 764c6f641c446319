-- Settle an event that was taken, after an attempt to deliver it.
--
-- KEYS  those of `keys.WEBHOOK_KEYS`
-- ARGV  1 entry      its entry in the stream
--       2 id         its id
--       3 outcome    'delivered', 'retry' or 'dead'
--       4 attempt    'retry': the number of the next attempt;  'dead': why the last one failed
--       5 wait       'retry': milliseconds until then
--       6 max_dead, 7 max_bytes    'dead': events that the dead-letter list may have, and their bytes
--
-- Returns  -1 if another node has settled it, which had taken it too; otherwise how many events were
-- dropped from the dead-letter list to make room.
local events, waiting, ready, retries, dead = KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local died, bytes, dead_bytes = KEYS[10], KEYS[11], KEYS[12]
local entry, id, outcome = ARGV[1], ARGV[2], ARGV[3]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

if redis.call('XACK', ready, 'nodes', entry) == 0 then
  return -1
end
redis.call('XDEL', ready, entry)
if outcome == 'retry' then
  redis.call('ZADD', retries, now + ARGV[5], ARGV[4] .. ' ' .. id)
  return 0
end
local body = redis.call('HGET', events, id)
if not body then
  return -1
end
redis.call('HDEL', events, id)
redis.call('ZREM', waiting, id)
redis.call('DECRBY', bytes, #body)
if outcome == 'delivered' then
  return 0
end
local letter = ARGV[4] .. '\n' .. body
redis.call('HSET', dead, id, letter)
redis.call('ZADD', died, now, id)
redis.call('INCRBY', dead_bytes, #letter)
local dropped = 0
while redis.call('ZCARD', died) > tonumber(ARGV[6])
  or (redis.call('ZCARD', died) > 1 and tonumber(redis.call('GET', dead_bytes)) > tonumber(ARGV[7]))
do
  local oldest = redis.call('ZPOPMIN', died)[1]
  redis.call('DECRBY', dead_bytes, redis.call('HSTRLEN', dead, oldest))
  redis.call('HDEL', dead, oldest)
  dropped = dropped + 1
end
return dropped
