-- Reads entries of one partition; on a miss may hand out the lease to load.
-- KEYS: meta, then per item: entry, lease, namespace marker.
-- ARGV: lease ms, then per item: prefix of tag markers, token to hand out (empty: no lease wanted), ms below which what is
-- left of an entry's life is leased too.
-- Returns {head, head's event id, then per item: {raw entry, ms to live, token or ''} or {false, token or '', retry after ms}}.
local last, last_event_id = head()
local lease_ms = tonumber(ARGV[1])
local out = {last, last_event_id}
local items = (#KEYS - 1) / 3
for i = 1, items do
  local entry, lease, marker = KEYS[i * 3 - 1], KEYS[i * 3], KEYS[i * 3 + 1]
  local prefix, token, refresh_ms = ARGV[i * 3 - 1], ARGV[i * 3], tonumber(ARGV[i * 3 + 1])
  local raw = redis.call('GET', entry)
  if raw and invalidated(raw, marker, prefix) then
    delete_entry(entry)
    raw = false
  end
  if raw then
    local left, leased = redis.call('PTTL', entry), ''
    if token ~= '' and left < refresh_ms and redis.call('SET', lease, token .. ' ' .. last, 'NX', 'PX', lease_ms) then
      leased = token
    end
    out[i + 2] = {raw, left, leased}
  elseif token == '' then
    out[i + 2] = {false, '', 0}
  elseif redis.call('SET', lease, token .. ' ' .. last, 'NX', 'PX', lease_ms) then
    out[i + 2] = {false, token, 0}
  else
    out[i + 2] = {false, '', math.max(1, redis.call('PTTL', lease))}
  end
end
return out
