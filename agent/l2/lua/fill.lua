-- Completes a miss under its lease. Nothing is logged or published: nobody can hold anything older.
-- KEYS: meta, entry, lease, namespace marker, then the marker of each tag.
-- ARGV: token, TTL ms, flags, tags, value, bytes that the namespace may take in this partition (0: no limit).
-- Returns the version, or false where the lease is gone or something was invalidated since it was given.
local held = redis.call('GET', KEYS[3])
if not held then return false end
local token, base = string.match(held, '^(%S+) (%S+)$')
if token ~= ARGV[1] then return false end
for i = 4, #KEYS do
  local marker = redis.call('GET', KEYS[i])
  if marker and newer(marker, base) then
    redis.call('UNLINK', KEYS[3])
    return false
  end
end
local last = head()
local version = last .. '.' .. redis.call('HINCRBY', KEYS[1], 'fills', 1)
local ttl_ms = tonumber(ARGV[2])
local before, length = write_entry(KEYS[2], version, ARGV[3], ARGV[4], ARGV[5], ttl_ms)
redis.call('UNLINK', KEYS[3])
account_entry(KEYS[2], before, length, ttl_ms, tonumber(ARGV[6]))
return version
