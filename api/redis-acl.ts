/** What an agent asks of Redis, and nothing else: docs/security.md and examples/compose are checked against it. */
export const REDIS_COMMANDS = [
  ...['ping', 'info', 'select', 'time', 'wait', 'client|setname', 'readonly', 'readwrite'],
  ...['cluster|slots', 'cluster|info'],
  ...['eval', 'evalsha', 'get', 'getrange', 'set', 'strlen', 'pttl', 'expire', 'unlink'],
  ...['object|freq', 'object|idletime'],
  ...['hget', 'hgetall', 'hmget', 'hkeys', 'hlen', 'hset', 'hsetnx', 'hdel', 'hincrby'],
  ...['zadd', 'zcard', 'zincrby', 'zrandmember', 'zrangebyscore', 'zrevrange', 'zrem', 'zremrangebyrank'],
  ...['zunionstore', 'xadd', 'xtrim', 'xrange', 'xrevrange', 'spublish', 'ssubscribe'],
] as const;

/** All keys and channels of all caches begin so. */
export const REDIS_PREFIX = 'ec:';

/** The rights of an agent's user, as `ACL SETUSER` and a line of users.acl have them. `{cacheId` behind the prefix narrows them to one cache. */
export function redisRights(prefix: string = REDIS_PREFIX): string[] {
  return [`~${prefix}*`, `&${prefix}*`, '-@all', ...REDIS_COMMANDS.map((command) => `+${command}`)];
}
