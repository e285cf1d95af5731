-- Adds what an agent's callers asked for to the hot keys of its region: of late, and of this hour of the day.
-- KEYS: hot keys of late. Those of an hour stand under the same name and ':<hour>', when they faded last under ':at'.
-- ARGV: half-life in s, most keys of late, most keys of an hour, life of it all in s, then pairs of lookups and member.
local half_life, most, most_hourly, life = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local now = tonumber(redis.call('TIME')[1])
local hour, day = math.floor(now / 3600) % 24, math.floor(now / 86400)
local late, hourly, faded = KEYS[1], KEYS[1] .. ':' .. hour, KEYS[1] .. ':at'

local function fade(name, field, at, unit, after)
  local last = tonumber(redis.call('HGET', faded, field) or at)
  if at - last < after then
    if at == last then redis.call('HSETNX', faded, field, at) end
    return
  end
  redis.call('ZUNIONSTORE', name, 1, name, 'WEIGHTS', 0.5 ^ ((at - last) / unit))
  redis.call('HSET', faded, field, at)
end

-- Once a minute, so that what it costs does not grow with the agents.
fade(late, 'late', now, half_life, 60)
-- What was popular at this hour yesterday counts for half of what is today.
fade(hourly, 'hour' .. hour, day, 1, 1)
for i = 5, #ARGV, 2 do
  redis.call('ZINCRBY', late, ARGV[i], ARGV[i + 1])
  redis.call('ZINCRBY', hourly, ARGV[i], ARGV[i + 1])
end
redis.call('ZREMRANGEBYRANK', late, 0, -most - 1)
redis.call('ZREMRANGEBYRANK', hourly, 0, -most_hourly - 1)
for _, name in ipairs({late, hourly, faded}) do redis.call('EXPIRE', name, life) end
return redis.call('ZCARD', late)
