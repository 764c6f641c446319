-- Record that a node has members in rooms. A room that is not known is looked at soon, and so is
-- one that was idle.
--
-- KEYS  those of `keys.WEBHOOK_KEYS`
-- ARGV  1 for       milliseconds for which the rooms count as attended
--       2... room
local rooms, states, attended = KEYS[1], KEYS[2], KEYS[3]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local till = now + tonumber(ARGV[1])

for i = 2, #ARGV do
  local room = ARGV[i]
  redis.call('ZADD', attended, 'GT', till, room)
  local state = redis.call('HGET', states, room)
  if not state then
    redis.call('ZADD', rooms, 'NX', now, room)
  elseif not (string.find(state, '^active ') or string.find(state, '^noted ')) then
    redis.call('ZADD', rooms, now, room)
  end
end
return #ARGV - 1
