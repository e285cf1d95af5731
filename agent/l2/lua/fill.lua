-- Completes a miss under its lease. Nothing is logged or published: nobody can hold anything older.
-- KEYS: meta, entry, lease, namespace marker, then the marker of each tag.
-- ARGV: token, TTL ms, flags, tags, value.
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
write_entry(KEYS[2], version, ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[2]))
redis.call('UNLINK', KEYS[3])
return version
