-- Tells what there is of one entry, and changes nothing.
-- KEYS: meta, entry, lease, namespace marker, agents.
-- ARGV: prefix of tag markers, whether agents are to be named (0, 1), then tags to look for beside those that the entry has.
-- Returns {head, head's event id, Redis' clock in microseconds, bytes, ms to live, version, flags, tags as JSON,
-- base of the lease, ms left of it, number of agents, [agents], then per marker: tag, version, ms to live, 1 if newer than the entry}.
-- What is not there is an empty text or 0.
local meta = redis.call('HMGET', KEYS[1], 'last', 'last_event_id')
local bytes, ttl, version, flags, tags = redis.call('STRLEN', KEYS[2]), 0, '', 0, ''
if bytes > 0 then
  ttl = redis.call('PTTL', KEYS[2])
  local tag_bytes, finish
  -- A header takes 61 bytes at most.
  version, flags, tag_bytes, finish = entry_header(redis.call('GETRANGE', KEYS[2], 0, 127))
  if not version then version, flags, tag_bytes = '', 0, 0 end
  if tag_bytes > 0 then tags = redis.call('GETRANGE', KEYS[2], finish - 1, finish + tag_bytes - 2) end
end

local base, lease_left = '', 0
local held = redis.call('GET', KEYS[3])
if held then
  base = string.match(held, ' (%S+)$') or ''
  lease_left = math.max(0, redis.call('PTTL', KEYS[3]))
end

local names = redis.call('HKEYS', KEYS[5])
local agents = #names
if ARGV[2] ~= '1' then names = {} end
local out = {meta[1] or '', meta[2] or '', string.format('%.0f', now_us()), bytes, ttl, version, flags, tags,
  base, lease_left, agents, names}

local function marker(tag, key)
  local standing = redis.call('GET', key)
  if not standing then return end
  out[#out + 1] = tag
  out[#out + 1] = standing
  out[#out + 1] = redis.call('PTTL', key)
  out[#out + 1] = (version ~= '' and newer(standing, version)) and 1 or 0
end

marker('', KEYS[4])
local seen = {}
local function tag_marker(tag)
  if type(tag) ~= 'string' or seen[tag] then return end
  seen[tag] = true
  marker(tag, ARGV[1] .. tag)
end
if tags ~= '' then
  for _, tag in ipairs(cjson.decode(tags)) do tag_marker(tag) end
end
for i = 3, #ARGV do tag_marker(ARGV[i]) end
return out
