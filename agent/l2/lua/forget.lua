-- Strikes off an agent that has been silent, unless it has spoken since.
-- KEYS: agents. ARGV: agent id, renewals as last seen.
local standing = redis.call('HGET', KEYS[1], ARGV[1])
if standing and string.match(standing, '^(%d+):') == ARGV[2] then return redis.call('HDEL', KEYS[1], ARGV[1]) end
return 0
