-- Take events to deliver: those whose wait is over, those that a dead node had taken, and new ones.
--
-- KEYS  those of `keys.WEBHOOK_KEYS`
-- ARGV  1 consumer    the node, in the consumer group
--       2 count       events to take
--       3 min_idle    milliseconds after which the node that took an event counts as dead
--
-- Returns  {waiting, age, dead, [entry, id, attempt, body]...}: how many events wait, for how many
-- milliseconds the oldest has, and how many are in the dead-letter list; then the events.
local events, waiting, ready, retries, died = KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[10]
local consumer, count, min_idle = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local GROUP = 'nodes'
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local oldest = redis.call('ZRANGE', waiting, 0, 0, 'WITHSCORES')[2] or now
local taken = {
  redis.call('ZCARD', waiting), math.max(0, now - oldest), redis.call('ZCARD', died),
}
for _, retry in ipairs(redis.call('ZRANGEBYSCORE', retries, '-inf', now, 'LIMIT', 0, count)) do
  local attempt, id = string.match(retry, '^(%d+) (.+)$')
  redis.call('ZREM', retries, retry)
  redis.call('XADD', ready, '*', 'id', id, 'attempt', attempt)
end
if count == 0 or redis.call('EXISTS', ready) == 0 then
  return taken
end
if #redis.call('XINFO', 'GROUPS', ready) == 0 then
  redis.call('XGROUP', 'CREATE', ready, GROUP, '0')
end
local function add(entries)
  for _, entry in ipairs(entries) do
    local fields = entry[2]
    local body = redis.call('HGET', events, fields[2])
    if body then
      for _, each in ipairs({entry[1], fields[2], fields[4], body}) do
        taken[#taken + 1] = each
      end
    else
      redis.call('XACK', ready, GROUP, entry[1])
      redis.call('XDEL', ready, entry[1])
    end
  end
  return #entries
end
count = count
  - add(redis.call('XAUTOCLAIM', ready, GROUP, consumer, min_idle, '0', 'COUNT', count)[2])
if count > 0 then
  local fresh = redis.call(
    'XREADGROUP', 'GROUP', GROUP, consumer, 'COUNT', count, 'STREAMS', ready, '>')
  if fresh then
    add(fresh[1][2])
  end
end
return taken
