-- One change of one partition, all or nothing: entry and markers, leases revoked, log, message.
-- KEYS: meta, log, deduplication, namespace marker, agents, [entry, lease] of a put,
--       then [entry, lease] of each key to invalidate, then the markers to set.
-- ARGV: event id, body, channel, log length, deduplication ms, number put (0, 1), number of keys, number of markers,
--       log age ms, whether somebody waits for the agents to apply it (0, 1), and for a put: condition, base, TTL ms, flags, tags, value, prefix of tag markers,
--       what the message says beyond the log: JSON behind the event's last field, or empty,
--       bytes that the namespace may take in this partition (0: no limit).
-- Returns {outcome, version, age of the log in ms, agents as id, '<renewals>:<max staleness>', ...};
-- outcome: applied, duplicate, conflict (with the version that stands), superseded. Agents only where asked for.
local event_id, body, channel = ARGV[1], ARGV[2], ARGV[3]
local log_length, dedup_ms = ARGV[4], tonumber(ARGV[5])
local puts, keys, markers = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local log_age_ms = tonumber(ARGV[9])

local confirm = ARGV[10] == '1'

local function answer(outcome, version)
  if not confirm then return {outcome, version, 0, {}} end
  local since = tonumber(redis.call('HGET', KEYS[1], 'since_us') or '0')
  return {outcome, version, math.floor((now_us() - since) / 1000), redis.call('HGETALL', KEYS[5])}
end

local seen = redis.call('GET', KEYS[3])
if seen then return answer('duplicate', seen) end

local outcome = 'applied'
local op = puts == 1 and 'put' or 'invalidate'
local prev, prev_event_id = head()

if puts == 1 then
  local condition, base = ARGV[11], ARGV[12]
  local raw = (condition ~= '' or base ~= '') and redis.call('GET', KEYS[6])
  if raw and invalidated(raw, KEYS[4], ARGV[17]) then raw = false end
  local standing, flags = '0', 0
  if raw then standing, flags = entry_header(raw) end
  if condition ~= '' then
    -- Known to be absent counts as absent.
    local compared = (flags % 2 == 1 and condition == '0') and '0' or standing
    if compared ~= condition then return answer('conflict', standing) end
  end
  -- A put that waited while Redis was out of reach may not overwrite what others wrote since: it only invalidates.
  -- Nor bring back what was older than something that has been evicted since.
  if base ~= '' and (standing == '0' and evicted_since(KEYS[6], base) or standing ~= '0' and newer(standing, base)) then
    outcome = 'superseded'
    op = 'invalidate'
  end
end

local us = now_us()
local ms = math.floor(us / 1000)
local prev_ms, prev_seq = parse(prev)
local id
if ms > prev_ms then id = string.format('%.0f-0', ms) else id = string.format('%.0f-%.0f', prev_ms, prev_seq + 1) end

local first = 6
local before, length
if puts == 1 then
  if outcome == 'superseded' then
    delete_entry(KEYS[6])
  else
    before, length = write_entry(KEYS[6], id, ARGV[14], ARGV[15], ARGV[16], tonumber(ARGV[13]))
  end
  redis.call('UNLINK', KEYS[7])
  first = 8
end
for i = first, first + keys * 2 - 1, 2 do
  delete_entry(KEYS[i])
  redis.call('UNLINK', KEYS[i + 1])
end
if markers > 0 then
  local ttl = tonumber(redis.call('HGET', KEYS[1], 'max_ttl') or '0') + 60000
  for i = first + keys * 2, first + keys * 2 + markers - 1 do redis.call('SET', KEYS[i], id, 'PX', ttl) end
end

local json = '{"version":"' .. id .. '","prev":"' .. prev .. '","prev_event_id":"' .. prev_event_id
  .. '","op":"' .. op .. '","logged_at_us":' .. string.format('%.0f', us) .. ',' .. body
redis.call('XADD', KEYS[2], 'MAXLEN', '~', log_length, id, 'event', json)
-- To the event, not about: how long events are kept may be a promise. The last of a partition in which nothing happens go all at once.
redis.call('XTRIM', KEYS[2], 'MINID', string.format('%.0f', math.max(0, ms - log_age_ms)))
redis.call('EXPIRE', KEYS[2], math.ceil(log_age_ms / 1000))
redis.call('HSET', KEYS[1], 'last', id, 'last_event_id', event_id)
redis.call('SET', KEYS[3], id, 'PX', dedup_ms)
if op == 'put' and ARGV[18] ~= '' then json = string.sub(json, 1, -2) .. ARGV[18] end
redis.call('SPUBLISH', channel, json)
if length then account_entry(KEYS[6], before, length, tonumber(ARGV[13]), tonumber(ARGV[19])) end
return answer(outcome, id)
