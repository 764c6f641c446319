-- Set the snapshot to the text of the whole journal, if the node has applied all entries.
--
-- KEYS  1 code_{room}  2 journal  3 journal-head
-- ARGV  1 epoch  2 last  3 text
--
-- Returns 1 if the snapshot was set; 0 if there is a newer entry: the node that appended it must
-- set the snapshot then.
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
