-- Read the part of a room's journal that a node does not have yet.
--
-- KEYS  1 code_{room}  2 journal  3 journal-head  4 journal-ended
-- ARGV  1 epoch        the journal the node knows; '' if none; '*' if it knows the entry `last` only
--       2 last         the last entry it has applied
--       3 max_bytes    refuse to read more than that
--
-- Returns  {'none', ends, code, ttl}             there is no journal; code is code_{room}, if any
--          {'since', ends, tail, ttl, entries}   the entries after `last`
--          {'all', ends, tail, ttl, entries, epoch, origin, base, base_id, digest}   the whole journal: the
--                       node knows another journal, or an entry that this one no longer has
-- or the error DAMAGED and a reason, if one of the keys is not what the scripts write.
-- digest is the SHA-1 of code_{room} if that has all entries; '' if not. ends are the names of the
-- room's ends, newest first; ttl is in milliseconds, as PTTL returns it.
local code_key, journal_key, head_key, ends_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local epoch, last, max_bytes = ARGV[1], ARGV[2], tonumber(ARGV[3])
local PIECE = 512 -- entries that are read at once, so that those of a huge stream are not

local function damaged(reason)
  return redis.error_reply('DAMAGED ' .. reason)
end

local ends = redis.call('LRANGE', ends_key, 0, -1)
local has_head, has_journal = redis.call('EXISTS', head_key), redis.call('EXISTS', journal_key)
if has_head + has_journal == 0 then
  if redis.call('STRLEN', code_key) > max_bytes then
    return damaged('code_{room} is too large')
  end
  return {'none', ends, redis.call('GET', code_key), redis.call('PTTL', code_key)}
end
if has_head == 0 or has_journal == 0 then
  return damaged(has_head == 0 and 'the head is missing' or 'the journal is missing')
end
if redis.call('HSTRLEN', head_key, 'base') > max_bytes then
  return damaged('the base is too large')
end
local head = redis.call('HMGET', head_key, 'epoch', 'tail', 'base_id', 'origin', 'base')
for i = 1, 5 do
  if not head[i] then
    return damaged('the head lacks a field')
  end
end

local function read_entries(start)
  local entries, size = {}, 0
  while true do
    local piece = redis.call('XRANGE', journal_key, start, '+', 'COUNT', PIECE)
    for _, entry in ipairs(piece) do
      entries[#entries + 1] = entry
      for _, word in ipairs(entry[2]) do
        size = size + #word
      end
    end
    if #piece < PIECE or size > max_bytes then
      return entries, size
    end
    start = '(' .. piece[PIECE][1]
  end
end

local ttl = redis.call('PTTL', journal_key)
local known = (head[1] == epoch or epoch == '*')
  and (last == head[3] or #redis.call('XRANGE', journal_key, last, last) == 1)
local entries, size = read_entries(known and '(' .. last or '-')
if size > max_bytes then
  return damaged('the journal is too large')
end
if known then
  return {'since', ends, head[2], ttl, entries}
end
local code = head[2] == redis.call('HGET', head_key, 'snap') and redis.pcall('GET', code_key)
local digest = type(code) == 'string' and redis.sha1hex(code) or ''
return {'all', ends, head[2], ttl, entries, head[1], head[4], head[5], head[3], digest}
