-- Reads the accounts of a partition, after taking off what has expired since the last write.
-- KEYS: meta, accounts. ARGV: members to take off at most, of each namespace.
-- Returns {1 if there may be more to take off, else 0, then per namespace: name, bytes, entries, evictions}.
local limit = tonumber(ARGV[1])
local out = {0}
for _, field in ipairs(redis.call('HKEYS', ACCOUNTS)) do
  local namespace = string.match(field, '^b:(.*)$')
  if namespace then
    local index = index_of(namespace)
    if sweep(namespace, index, limit) == limit then out[1] = 1 end
    local entries = redis.call('ZCARD', index)
    -- Whatever went wrong before, nothing takes no bytes.
    if entries == 0 then redis.call('HSET', ACCOUNTS, field, 0) end
    out[#out + 1] = namespace
    out[#out + 1] = redis.call('HGET', ACCOUNTS, field)
    out[#out + 1] = entries
    out[#out + 1] = redis.call('HGET', ACCOUNTS, 'v:' .. namespace) or '0'
  end
end
return out
