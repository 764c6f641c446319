-- Claim rooms that somebody must look at now. Until the lease is over nobody else gets them; if the
-- node dies meanwhile, another one gets them after it.
--
-- KEYS  those of `keys.WEBHOOK_KEYS`
-- ARGV  1 limit      rooms to claim
--       2 lease      milliseconds
--       3 idle       milliseconds without members after which a room is idle
--       4 room       claim this room, whether it is due or not; '' for all that are due
--       5 max_events, 6 max_bytes   as in emit.lua: while the queue is full, no room is claimed, since
--                    its events would have no place; the rooms stay due
--
-- Returns  {now, full, [room, state, attended_until]...}, times in milliseconds since 1970; full is 1
-- if rooms are due and the queue is full; state is '' if the room has none. A room that has members, and whose expiry is far, needs no look: its next
-- one is put off here, so that thousands of such rooms cost no command.
local rooms, states, attended, waiting, bytes = KEYS[1], KEYS[2], KEYS[3], KEYS[6], KEYS[11]
local limit, lease, idle, only = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local max_events, max_bytes = tonumber(ARGV[5]), tonumber(ARGV[6])
-- Rooms that are put off or claimed in one run, which takes a few milliseconds.
local MAX_ROOMS = 1000
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local found = {only}
if only == '' then
  found = redis.call('ZRANGEBYSCORE', rooms, '-inf', now, 'LIMIT', 0, MAX_ROOMS)
end
local queued, used = redis.call('ZCARD', waiting), tonumber(redis.call('GET', bytes) or 0)
if only == '' and #found > 0 and queued > 0 and (queued >= max_events or used >= max_bytes) then
  return {now, 1}
end
local claimed, count = {now, 0}, 0
for _, room in ipairs(found) do
  local state = redis.call('HGET', states, room) or ''
  local till = tonumber(redis.call('ZSCORE', attended, room) or 0)
  local look_at = tonumber(string.match(state, '^active (%d+) ') or 0)
  if only == '' and till > now and look_at > now then
    redis.call('ZADD', rooms, math.min(till + idle, look_at), room)
  else
    redis.call('ZADD', rooms, 'XX', now + lease, room)
    claimed[#claimed + 1] = room
    claimed[#claimed + 1] = state
    claimed[#claimed + 1] = till
    count = count + 1
    if count == limit then
      break
    end
  end
end
return claimed
