-- Account of the bytes that entries take, by namespace; stands behind lib.lua in every script that writes or deletes entries.
-- Per namespace an index, a sorted set of '<bytes>:<key>' by when the entry ends; the hash of accounts has the sum of the index,
-- how many were evicted, and the newest version that was. An entry that Redis let expire is still in the index, which knows what
-- to take off. An entry that anything else deleted stays on the account until it would have ended, or the eviction finds it gone.

-- One write in so many takes off what is over, so many members at most: four for each write, so that the account catches up.
local SWEEP_EVERY = 8
local SWEEP = 32
-- Candidates of each eviction, as many as Redis' own maxmemory-samples at its most exact.
local CANDIDATES = 10
-- Bound on what one write may have to evict: rounds, of up to half of the candidates each.
local MAX_ROUNDS = 200

local BASE = string.sub(KEYS[1], 1, -5)
local ENTRIES = BASE .. 'e:'
local ACCOUNTS = BASE .. 'bytes'

-- What jemalloc gives for n bytes: multiples of 16, then four sizes in each doubling.
local function allocated(n)
  if n <= 128 then return math.ceil(n / 16) * 16 end
  local _, exponent = math.frexp(n - 1)
  local step = 2 ^ (exponent - 3)
  return math.ceil(n / step) * step
end

-- Memory of an entry from nothing but lengths, so that it comes out the same when the entry goes: value, name and index member with
-- their headers, and 188 for the objects around them and for places in the dictionaries of keys, expiry times and the index.
local function charge(name, key, length)
  return allocated(length + 6) + allocated(#name + 4) + allocated(#key + 9) + 188
end

local function place_of(name)
  local place = string.sub(name, #ENTRIES + 1)
  local colon = string.find(place, ':', 1, true)
  return string.sub(place, 1, colon - 1), string.sub(place, colon + 1)
end

local function index_of(namespace) return BASE .. 'x:' .. namespace end

local function member_of(bytes, key) return string.format('%.0f:', bytes) .. key end

local function bytes_of(member) return tonumber(string.match(member, '^%d+')) end

-- Deletes an entry of any namespace.
local function delete_entry(name)
  local length = redis.call('STRLEN', name)
  if length == 0 then return end
  redis.call('UNLINK', name)
  local namespace, key = place_of(name)
  local bytes = charge(name, key, length)
  if redis.call('ZREM', index_of(namespace), member_of(bytes, key)) == 1 then
    redis.call('HINCRBY', ACCOUNTS, 'b:' .. namespace, -bytes)
  end
end

-- Takes what has expired off a namespace's account, up to a number of members. Returns how many.
local function sweep(namespace, index, limit)
  local now_ms = string.format('%.0f', math.floor(now_us() / 1000))
  local gone = redis.call('ZRANGEBYSCORE', index, '-inf', now_ms, 'LIMIT', 0, limit)
  if #gone == 0 then return 0 end
  local bytes = 0
  for _, member in ipairs(gone) do bytes = bytes + bytes_of(member) end
  redis.call('ZREM', index, unpack(gone))
  redis.call('HINCRBY', ACCOUNTS, 'b:' .. namespace, string.format('%.0f', -bytes))
  return #gone
end

-- Random members, the least useful first: what is gone, then what was not read for longest, then what ends soonest.
local function candidates(index, namespace, spared)
  local flat = redis.call('ZRANDMEMBER', index, CANDIDATES, 'WITHSCORES')
  local found = {}
  for i = 1, #flat, 2 do
    local member = flat[i]
    if member ~= spared then
      local name = ENTRIES .. namespace .. ':' .. string.match(member, '^%d+:(.*)$')
      -- Refused under a policy of least frequent use: then what ends soonest goes.
      local idle = redis.pcall('OBJECT', 'IDLETIME', name)
      if type(idle) == 'table' then idle = 0 end
      found[#found + 1] = {member = member, name = name, idle = idle or math.huge, ends = tonumber(flat[i + 1])}
    end
  end
  table.sort(found, function(a, b)
    if a.idle ~= b.idle then return a.idle > b.idle end
    return a.ends < b.ends
  end)
  return found
end

-- An eviction is no change: nobody is told, and what is gone is a miss. Only a put that waited must be able to find out that
-- something newer than its base may have stood here.
local function evict_one(namespace, victim)
  local version = string.match(redis.call('GETRANGE', victim.name, 0, 63), '^%S+')
  if version then
    redis.call('UNLINK', victim.name)
    redis.call('HINCRBY', ACCOUNTS, 'v:' .. namespace, 1)
    local newest = redis.call('HGET', ACCOUNTS, 'e:' .. namespace)
    if not newest or newer(version, newest) then redis.call('HSET', ACCOUNTS, 'e:' .. namespace, version) end
  end
end

-- Evicts until a namespace is within its limit, but never what has just been written.
local function keep_within(limit, total, namespace, index, spared)
  for _ = 1, MAX_ROUNDS do
    if total <= limit then return end
    local found = candidates(index, namespace, spared)
    if #found == 0 then return end
    for i = 1, math.ceil(#found / 2) do
      if total <= limit then return end
      local victim = found[i]
      local bytes = bytes_of(victim.member)
      evict_one(namespace, victim)
      redis.call('ZREM', index, victim.member)
      redis.call('HINCRBY', ACCOUNTS, 'b:' .. namespace, -bytes)
      total = total - bytes
    end
  end
end

-- Puts an entry that has been written on the account, and keeps its namespace within the limit, in bytes of this partition; 0: none.
-- Comes last in a script: nothing that goes wrong here may stand between a change and its event.
local function account_entry(name, before, length, ttl_ms, limit)
  local namespace, key = place_of(name)
  local index = index_of(namespace)
  local bytes, delta = charge(name, key, length), 0
  if before > 0 then
    local old = charge(name, key, before)
    if old ~= bytes and redis.call('ZREM', index, member_of(old, key)) == 1 then delta = -old end
  end
  local member = member_of(bytes, key)
  local us = now_us()
  local ends_ms = string.format('%.0f', math.floor(us / 1000) + ttl_ms)
  if redis.call('ZADD', index, ends_ms, member) == 1 then delta = delta + bytes end
  if delta ~= 0 then redis.call('HINCRBY', ACCOUNTS, 'b:' .. namespace, string.format('%.0f', delta)) end
  if us % SWEEP_EVERY == 0 then sweep(namespace, index, SWEEP) end
  if limit == 0 then return end
  local total = tonumber(redis.call('HGET', ACCOUNTS, 'b:' .. namespace) or '0')
  if total <= limit then return end
  -- What is over anyway goes before anything of use.
  if sweep(namespace, index, SWEEP) > 0 then total = tonumber(redis.call('HGET', ACCOUNTS, 'b:' .. namespace)) end
  if total > limit then keep_within(limit, total, namespace, index, member) end
end

-- Whether an entry newer than a version was evicted from the namespace of an entry.
local function evicted_since(name, version)
  local newest = redis.call('HGET', ACCOUNTS, 'e:' .. (place_of(name)))
  return newest and newer(newest, version)
end
