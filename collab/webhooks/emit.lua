-- Set a room's state, and append the events by which it has changed: all or nothing. So Redis makes
-- each event once, however many nodes have seen the change.
--
-- KEYS  those of `keys.WEBHOOK_KEYS`
-- ARGV  1 room
--       2 expected     the state that the node has found, '' for none
--       3 state        the state now; '' to forget the room
--       4 look_at      when to look again, in milliseconds since 1970
--       5 drop         '1' to delete the text that was kept for the room's end
--       6 max_events   events that may wait
--       7 max_bytes    bytes of them, and of the texts that are kept
--       8 hold         milliseconds after which to try again if there is no place
--       9... id, before, behind   of each event: its body is these two with its sequence in between
--
-- Returns  'ok'; 'changed': the room has another state, nothing is done; or 'full': nothing is done,
--          but the room is due again later. An empty queue takes an event of any size.
local rooms, states, attended, finals, events = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local waiting, ready, bytes, sequence = KEYS[6], KEYS[7], KEYS[11], KEYS[13]
local room, expected, state, look_at, drop = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5] == '1'
local max_events, max_bytes, hold = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local FIRST_EVENT = 9
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

if (redis.call('HGET', states, room) or '') ~= expected then
  return 'changed'
end
local size = 0
for i = FIRST_EVENT, #ARGV, 3 do
  size = size + #ARGV[i + 1] + #ARGV[i + 2]
end
local queued, count = redis.call('ZCARD', waiting), (#ARGV - FIRST_EVENT + 1) / 3
local used = tonumber(redis.call('GET', bytes) or 0)
if count > 0 and queued > 0 and (queued + count > max_events or used + size > max_bytes) then
  redis.call('ZADD', rooms, 'XX', now + hold, room)
  return 'full'
end

-- Sequences are times in microseconds, so that they grow even if Redis has lost the last one.
local last = tonumber(redis.call('GET', sequence) or 0)
for i = FIRST_EVENT, #ARGV, 3 do
  local id = ARGV[i]
  last = math.max(last + 1, time[1] * 1000000 + time[2])
  local body = ARGV[i + 1] .. string.format('%.0f', last) .. ARGV[i + 2]
  redis.call('HSET', events, id, body)
  redis.call('SET', sequence, string.format('%.0f', last))
  redis.call('INCRBY', bytes, #body)
  redis.call('ZADD', waiting, now, id)
  redis.call('XADD', ready, '*', 'id', id, 'attempt', 1)
end
if state == '' then
  redis.call('HDEL', states, room)
  redis.call('ZREM', rooms, room)
  redis.call('ZREM', attended, room)
else
  redis.call('HSET', states, room, state)
  redis.call('ZADD', rooms, look_at, room)
end
if drop or state == '' then
  redis.call('DECRBY', bytes, redis.call('HSTRLEN', finals, room))
  redis.call('HDEL', finals, room)
end
return 'ok'
