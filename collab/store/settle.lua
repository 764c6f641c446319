-- Set the snapshot to what the journal adds up to, if the node has applied all of it.
--
-- KEYS  1 code_{room}  2 journal  3 journal-head
-- ARGV  1 epoch  2 last  3 text
--
-- Returns 1 if it was set, 0 if the journal has moved on: whoever moved it owes the next settle.
local head = redis.call('HMGET', KEYS[3], 'epoch', 'tail')
local ttl = redis.call('PTTL', KEYS[2])
if head[1] ~= ARGV[1] or head[2] ~= ARGV[2] or ttl <= 0 then
  return 0
end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ttl)
redis.call('HSET', KEYS[3], 'snap', ARGV[2])
return 1
