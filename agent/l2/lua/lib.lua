-- Shared by every script: this text stands before each of them.
-- KEYS[1] is always the partition's meta hash: last (stream id), last_event_id, fills, max_ttl.

local EPOCH_PREFIX = 'epoch:'

local function now_us()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000000 + tonumber(t[2])
end

-- A version is <ms>-<seq> (an event) or <ms>-<seq>.<n> (the n-th fill after that event).
local function parse(version)
  local ms, seq, n = string.match(version, '^(%d+)-(%d+)%.?(%d*)$')
  return tonumber(ms), tonumber(seq), tonumber(n) or 0
end

local function newer(a, b)
  local ams, aseq, an = parse(a)
  local bms, bseq, bn = parse(b)
  if ams ~= bms then return ams > bms end
  if aseq ~= bseq then return aseq > bseq end
  return an > bn
end

-- The head of the log. A partition without one (new, or a Redis that came back empty) gets an epoch:
-- a head that no agent has seen, so that each of them notices and drops what it holds.
local function head()
  local meta = redis.call('HMGET', KEYS[1], 'last', 'last_event_id')
  if meta[1] then return meta[1], meta[2] end
  local us = now_us()
  local last = string.format('%.0f-0', math.floor(us / 1000))
  local event_id = EPOCH_PREFIX .. string.format('%.0f', us)
  redis.call('HSET', KEYS[1], 'last', last, 'last_event_id', event_id,
    'since_us', string.format('%.0f', us))
  return last, event_id
end

-- Markers must outlive every entry that is older than they are.
local function note_ttl(ttl_ms)
  local max = tonumber(redis.call('HGET', KEYS[1], 'max_ttl') or '0')
  if ttl_ms > max then redis.call('HSET', KEYS[1], 'max_ttl', ttl_ms) end
end

-- An entry is '<version> <flags> <bytes of tags>\n<tags as JSON><value>'.
local function entry_header(raw)
  local version, flags, tag_bytes, finish = string.match(raw, '^(%S+) (%d+) (%d+)\n()')
  return version, tonumber(flags), tonumber(tag_bytes), finish
end

-- Returns the bytes of what stood there, 0 for nothing, and of what stands there now.
local function write_entry(key, version, flags, tags, value, ttl_ms)
  local raw = version .. ' ' .. flags .. ' ' .. #tags .. '\n' .. tags .. value
  local before = redis.call('STRLEN', key)
  redis.call('SET', key, raw, 'PX', ttl_ms)
  note_ttl(ttl_ms)
  return before, #raw
end

-- Whether a marker of the namespace or of one of the entry's tags is newer than the entry.
local function invalidated(raw, namespace_marker, tag_marker_prefix)
  local version, _, tag_bytes, finish = entry_header(raw)
  local marker = redis.call('GET', namespace_marker)
  if marker and newer(marker, version) then return true end
  if tag_bytes == 0 then return false end
  for _, tag in ipairs(cjson.decode(string.sub(raw, finish, finish + tag_bytes - 1))) do
    marker = redis.call('GET', tag_marker_prefix .. tag)
    if marker and newer(marker, version) then return true end
  end
  return false
end
