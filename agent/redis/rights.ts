import { Cluster, type Redis } from 'ioredis';
import { type REDIS_COMMANDS, REDIS_PREFIX } from '../../api/redis-acl.ts';
import { messageOf } from '../errors.ts';
import { PartitionKeys } from '../l2/keys.ts';
import type { RedisProblem } from './memory-checks.ts';
import { addressOf } from './redis-info.ts';

type Command = (typeof REDIS_COMMANDS)[number];

/** Gone by itself, where whoever asked is gone before it is taken away. */
const PROBE_SECONDS = 60;

/**
 * Finds out what the user of Redis may not do, by doing each thing once with a key of its own: `ACL DRYRUN` is for administrators.
 * In a cluster each master has users of its own; one that does not serve the key says so only after it has looked at rights.
 * @throws on any failure to ask.
 */
export async function findMissingRights(
  client: Redis | Cluster,
  cacheId: string,
  agentId: string,
): Promise<RedisProblem[]> {
  const servers = client instanceof Cluster ? client.nodes('master') : [client];
  const probes = probesOf(cacheId, agentId, client.isCluster);
  const found = await Promise.all(
    servers.map(async (server) => ({ server: addressOf(server), missing: await refusedBy(server, probes) })),
  );
  const bad = found.filter(({ missing }) => missing.length > 0);
  const missing = [...new Set(bad.flatMap((one) => one.missing))];
  if (missing.length === 0) return [];
  return [
    {
      code: 'rights',
      severity: 'error',
      servers: bad.map(({ server }) => server),
      message: `the user of Redis lacks rights that agents need: ${missing.join(' ')}`,
      remedy: `ACL SETUSER <user> ${missing.join(' ')}, or all that docs/security.md names`,
    },
  ];
}

type Probe = readonly [command: Command, ...args: (string | number)[]];

async function refusedBy(server: Redis, probes: readonly Probe[]): Promise<string[]> {
  const answers = await Promise.allSettled(
    probes.map(([command, ...args]) => {
      const [name = '', ...subcommand] = command.split('|');
      return server.call(name, ...subcommand, ...args);
    }),
  );
  const missing = new Set<string>();
  answers.forEach((answer, i) => {
    if (answer.status === 'fulfilled') return;
    const message = messageOf(answer.reason);
    // Whatever else Redis says no to, such as a key of another master, it does after it has looked at rights.
    if (!message.startsWith('NOPERM')) {
      if (isReply(answer.reason)) return;
      throw answer.reason;
    }
    if (/to run the/.test(message)) missing.add(`+${probes[i]?.[0]}`);
    else missing.add(`${/channel/.test(message) ? '&' : '~'}${REDIS_PREFIX}*`);
  });
  return [...missing];
}

function isReply(error: unknown): boolean {
  return error instanceof Error && error.name === 'ReplyError';
}

/** Each command in a form that leaves nothing behind; those that the connection itself has used already are left out. */
function probesOf(cacheId: string, agentId: string, isCluster: boolean): Probe[] {
  const keys = new PartitionKeys(cacheId, 0);
  const key = keys.probe(agentId);
  const ofCluster: Probe[] = isCluster ? [['cluster|slots'], ['cluster|info']] : [];
  return [
    ...([['ping'], ['info', 'memory'], ['time'], ['wait', 0, 1]] satisfies Probe[]),
    ...([
      ['eval', 'return 1', 0],
      ['evalsha', '0'.repeat(40), 0],
    ] satisfies Probe[]),
    ...ofCluster,
    ...probesOfTexts(key),
    ...probesOfHashes(key),
    ...probesOfSets(key),
    ...([
      ['xadd', key, 'NOMKSTREAM', '*', 'f', 'v'],
      ['xtrim', key, 'MAXLEN', 0],
    ] satisfies Probe[]),
    ['xrange', key, '-', '+'],
    ['xrevrange', key, '+', '-'],
    ['spublish', keys.acknowledgements(`${agentId}:probe`), ''],
    ['unlink', key],
  ];
}

function probesOfTexts(key: string): Probe[] {
  return [
    ['set', key, '', 'PX', PROBE_SECONDS * 1000],
    ...([
      ['get', key],
      ['getrange', key, 0, 0],
      ['strlen', key],
      ['pttl', key],
    ] satisfies Probe[]),
    ...([
      ['object|freq', key],
      ['object|idletime', key],
    ] satisfies Probe[]),
    ['expire', key, PROBE_SECONDS],
    ['unlink', key],
  ];
}

function probesOfHashes(key: string): Probe[] {
  return [
    ['hset', key, 'f', 'v'],
    ['expire', key, PROBE_SECONDS],
    ...([
      ['hget', key, 'f'],
      ['hgetall', key],
      ['hmget', key, 'f'],
      ['hkeys', key],
      ['hlen', key],
    ] satisfies Probe[]),
    ...([
      ['hsetnx', key, 'f', 'v'],
      ['hincrby', key, 'n', 1],
      ['hdel', key, 'f'],
    ] satisfies Probe[]),
    ['unlink', key],
  ];
}

function probesOfSets(key: string): Probe[] {
  return [
    ['zadd', key, 1, 'm'],
    ['expire', key, PROBE_SECONDS],
    ...([
      ['zcard', key],
      ['zincrby', key, 1, 'm'],
      ['zrandmember', key],
    ] satisfies Probe[]),
    ...([
      ['zrangebyscore', key, 0, 1],
      ['zrevrange', key, 0, 0],
    ] satisfies Probe[]),
    ['zunionstore', key, 1, key],
    ...([
      ['zremrangebyrank', key, 5, 6],
      ['zrem', key, 'm'],
    ] satisfies Probe[]),
    ['unlink', key],
  ];
}
