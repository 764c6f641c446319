-- Keep a room's text for the event of its end, in place of an earlier one.
--
-- KEYS  those of `keys.WEBHOOK_KEYS`
-- ARGV  1 room  2 text, packed  3 max_bytes as in emit.lua
--
-- Returns 1; 0 if there is no place for it.
local finals, bytes = KEYS[4], KEYS[11]
local room, text, max_bytes = ARGV[1], ARGV[2], tonumber(ARGV[3])

local more = #text - redis.call('HSTRLEN', finals, room)
if tonumber(redis.call('GET', bytes) or 0) + more > max_bytes then
  return 0
end
redis.call('HSET', finals, room, text)
redis.call('INCRBY', bytes, more)
return 1
