-- Let events of the dead-letter list be delivered again, from their first attempt on.
--
-- KEYS  those of `keys.WEBHOOK_KEYS`
-- ARGV  1... id
--
-- Returns how many of them were in the list.
local events, waiting, ready, dead = KEYS[5], KEYS[6], KEYS[7], KEYS[9]
local died, bytes, dead_bytes = KEYS[10], KEYS[11], KEYS[12]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local count = 0
for _, id in ipairs(ARGV) do
  local letter = redis.call('HGET', dead, id)
  if letter then
    local body = string.sub(letter, string.find(letter, '\n', 1, true) + 1)
    redis.call('HSET', events, id, body)
    redis.call('INCRBY', bytes, #body)
    redis.call('ZADD', waiting, now, id)
    redis.call('XADD', ready, '*', 'id', id, 'attempt', 1)
    redis.call('HDEL', dead, id)
    redis.call('ZREM', died, id)
    redis.call('DECRBY', dead_bytes, #letter)
    count = count + 1
  end
end
return count
