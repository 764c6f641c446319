-- Return all that Redis has of a room, of whatever type it is, as it is at one moment.
--
-- KEYS  1 code_{room}  2 journal  3 journal-head  4 journal-ended
-- ARGV  1 channel      the channel of the room
--       2 max_bytes    a key with more is not returned
--       3 max_items    a key with more fields, entries or items is not returned
--
-- Returns  {holders, key, key, key, key}: holders is the number of subscriptions of the channel; a key
-- is {type, ttl, fingerprint, items, bytes, value}: ttl as PTTL returns it, the SHA-1 of the DUMP, and
-- the value as GET, XRANGE, HGETALL or LRANGE returns it; false if it is too large, or of no such type.
local channel, max_bytes, max_items = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local PIECE = 256 -- entries that are read at once, so that those of a huge stream are not

local function size_of(value)
  local size = 0
  for _, each in ipairs(value) do
    size = size + (type(each) == 'table' and size_of(each) or #tostring(each))
  end
  return size
end

local function read_stream(key)
  local entries, size, start = {}, 0, '-'
  while true do
    local piece = redis.call('XRANGE', key, start, '+', 'COUNT', PIECE)
    size = size + size_of(piece)
    for _, entry in ipairs(piece) do
      entries[#entries + 1] = entry
    end
    if #piece < PIECE or size > max_bytes then
      return entries, size
    end
    start = '(' .. piece[PIECE][1]
  end
end

local function read_value(key, kind)
  if kind == 'string' then
    local size = redis.call('STRLEN', key)
    return 1, size, size <= max_bytes and redis.call('GET', key)
  elseif kind == 'stream' then
    local items = redis.call('XLEN', key)
    if items > max_items then return items, -1, false end
    local entries, size = read_stream(key)
    return items, size, size <= max_bytes and entries
  elseif kind == 'hash' then
    local items = redis.call('HLEN', key)
    if items > max_items then return items, -1, false end
    local size = 0
    for _, field in ipairs(redis.call('HKEYS', key)) do
      size = size + #field + redis.call('HSTRLEN', key, field)
    end
    return items, size, size <= max_bytes and redis.call('HGETALL', key)
  elseif kind == 'list' then
    local items = redis.call('LLEN', key)
    return items, -1, items <= max_items and redis.call('LRANGE', key, 0, -1)
  end
  return 0, 0, false
end

local found = {redis.call('PUBSUB', 'NUMSUB', channel)[2]}
for i = 1, 4 do
  local key = KEYS[i]
  local kind = redis.call('TYPE', key).ok
  local items, size, value = read_value(key, kind)
  local fingerprint = redis.sha1hex(redis.call('DUMP', key) or '')
  found[i + 1] = {kind, redis.call('PTTL', key), fingerprint, items, size, value}
end
return found
