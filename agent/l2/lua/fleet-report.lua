-- An agent tells the others of itself.
-- KEYS: summaries (agent id -> JSON), when each was told of (sorted by Redis' clock in ms).
-- ARGV: agent id, summary (empty: the agent leaves), how long a summary is kept in ms, most agents.
if ARGV[2] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('ZREM', KEYS[2], ARGV[1])
  return 0
end
local t = redis.call('TIME')
local now_ms = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
local keep_ms = tonumber(ARGV[3])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], now_ms, ARGV[1])
-- Those that were last heard of long ago, and the oldest where there are too many: a few at a time, so that none holds Redis up.
local gone = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now_ms - keep_ms, 'LIMIT', 0, 100)
local over = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[4])
if over > 0 then
  for _, id in ipairs(redis.call('ZREVRANGE', KEYS[2], -math.min(over, 100), -1)) do gone[#gone + 1] = id end
end
if #gone > 0 then
  redis.call('HDEL', KEYS[1], unpack(gone))
  redis.call('ZREM', KEYS[2], unpack(gone))
end
for i = 1, 2 do redis.call('EXPIRE', KEYS[i], math.ceil(keep_ms / 1000)) end
return 1
