-- Note that a room's journal is about to begin: the intent comes first, so that no room is missed.
--
-- KEYS  those of `keys.WEBHOOK_KEYS`
-- ARGV  1 room
--       2 delay    milliseconds until somebody looks whether the journal has begun
--
-- Returns '' if the room is noted; otherwise it is known already, and its state is returned.
local rooms, states = KEYS[1], KEYS[2]
local room, delay = ARGV[1], tonumber(ARGV[2])

local state = redis.call('HGET', states, room)
if state and string.sub(state, 1, 6) ~= 'noted ' then
  return state
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', states, room, string.format('noted %.0f %.0f 0 - - - -', now, now))
redis.call('ZADD', rooms, now + delay, room)
return ''
