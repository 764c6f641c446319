-- Set the snapshot to what the journal adds up to, if the node has applied all of it.
--
-- KEYS  1 code_{room}  2 journal  3 journal-head
-- ARGV  1 epoch  2 last  3 text
--
-- Returns 1 if it was set, 0 if the journal has moved on: the node that moved it owes the next
-- settle.
local code_key, journal_key, head_key = KEYS[1], KEYS[2], KEYS[3]
local epoch, last, text = ARGV[1], ARGV[2], ARGV[3]

local head = redis.call('HMGET', head_key, 'epoch', 'tail')
local ttl = redis.call('PTTL', journal_key)
if head[1] ~= epoch or head[2] ~= last or ttl <= 0 then
  return 0
end
redis.call('SET', code_key, text, 'PX', ttl)
redis.call('HSET', head_key, 'snap', last)
return 1
