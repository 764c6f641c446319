-- Let the keys live on, and remove nodes that are gone from the consumer group.
--
-- KEYS  those of `keys.WEBHOOK_KEYS`
-- ARGV  1 ttl      milliseconds that the keys live without a node that delivers
--       2 silent   milliseconds after which a node that has taken nothing counts as gone
--       3 leaving  the consumer of a node that stops, '' for none
local ready, ttl, silent, leaving = KEYS[7], ARGV[1], tonumber(ARGV[2]), ARGV[3]
local GROUP = 'nodes'

for _, key in ipairs(KEYS) do
  redis.call('PEXPIRE', key, ttl)
end
if redis.call('EXISTS', ready) == 0 or #redis.call('XINFO', 'GROUPS', ready) == 0 then
  return 0
end
local removed = 0
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', ready, GROUP)) do
  local name, pending, idle = consumer[2], consumer[4], consumer[6]
  -- What a node has taken would go with it: another node takes that over first.
  if pending == 0 and (name == leaving or idle > silent) then
    redis.call('XGROUP', 'DELCONSUMER', ready, GROUP, name)
    removed = removed + 1
  end
end
return removed
