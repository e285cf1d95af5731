-- KEYS: meta, agents. ARGV: agent id (empty: do not register), renewal count, its max staleness in ms.
-- Registers first, then reads: whoever logs an event after this head sees the agent.
-- Returns {head, head's event id, Redis' clock in microseconds}.
if ARGV[1] ~= '' then redis.call('HSET', KEYS[2], ARGV[1], ARGV[2] .. ':' .. ARGV[3]) end
local last, last_event_id = head()
return {last, last_event_id, string.format('%.0f', now_us())}
