-- Gives back the lease of a fill that will not come.
-- KEYS: lease. ARGV: token. Returns how many were given back.
local held = redis.call('GET', KEYS[1])
if held and string.match(held, '^(%S+) ') == ARGV[1] then return redis.call('UNLINK', KEYS[1]) end
return 0
