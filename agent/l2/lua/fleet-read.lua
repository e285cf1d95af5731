-- KEYS: summaries, when each was told of. ARGV: most agents, how long a summary counts in ms.
-- Returns, of those heard of last, id, age in ms and summary.
local t = redis.call('TIME')
local now_ms = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
local seen = redis.call('ZREVRANGE', KEYS[2], 0, tonumber(ARGV[1]) - 1, 'WITHSCORES')
local ids, ages = {}, {}
for i = 1, #seen, 2 do
  local age_ms = now_ms - tonumber(seen[i + 1])
  if age_ms <= tonumber(ARGV[2]) then
    ids[#ids + 1] = seen[i]
    ages[#ages + 1] = string.format('%.0f', age_ms)
  end
end
if #ids == 0 then return {} end
local summaries = redis.call('HMGET', KEYS[1], unpack(ids))
local reply = {}
for i = 1, #ids do
  if summaries[i] then
    reply[#reply + 1] = ids[i]
    reply[#reply + 1] = ages[i]
    reply[#reply + 1] = summaries[i]
  end
end
return reply
