import type { StatsResponse } from '../../client/edge-cache-client.ts';
import { duration, percent } from '../screen.ts';
import { type Check, ENOUGH_LOOKUPS, type Examined, levelOf } from './finding.ts';

const reachable: Check = ({ redis }) => {
  if (redis?.connected !== false) return undefined;
  return {
    level: 'error',
    evidence: `Redis is out of its reach: ${redis.connectionFailuresPerMinute.toFixed(0)} connections failed in the last minute`,
    cause: 'Redis is down, or refuses the agent (password, ACL, TLS), or a NetworkPolicy stands between them',
    remedy:
      'the agent’s log says why ("no connection to Redis"); critical lookups go to loaders meanwhile, others are answered from memory and marked stale',
  };
};

const answeredFromMemory: Check = ({ l1, namespaces, analytics }) => {
  const { hits = 0, misses = 0, hitRatio = 0, entries = 0, maxEntries = 0, evictions = 0 } = l1 ?? {};
  if (hits + misses < ENOUGH_LOOKUPS || hitRatio >= 0.7) return undefined;
  const isFull = entries >= maxEntries * 0.95 && evictions > 0;
  return {
    level: hitRatio < 0.5 ? 'error' : 'warning',
    evidence: `${percent(hitRatio)} of ${hits + misses} lookups were answered from memory${worstOf(namespaces)}; ${entries} of ${maxEntries} entries, ${evictions} evicted${causesOf(namespaces)}`,
    cause: isFull
      ? 'memory is too small for what is asked'
      : 'entries end, or are invalidated, before they are asked for again',
    remedy: isFull
      ? `raise l1.maxEntries in the tier${promiseOf(analytics)}`
      : 'raise l1TtlSeconds where namespaces are event-driven; invalidate by key instead of whole namespaces; see pushValueBytes for hot keys that change often',
  };
};

const redisIsNear: Check = ({ redis }) => {
  const ms = redis?.roundTripMs ?? 0;
  const level = levelOf(ms, 5, 50);
  if (level === undefined) return undefined;
  return {
    level,
    evidence: `the fastest answer of Redis in the last half minute took ${ms.toFixed(1)} ms`,
    cause: 'Redis is far away, its machine or the agent’s is overloaded, or slow commands are run on it',
    remedy:
      'every lookup that memory does not answer takes as long: compare with "redis-cli --latency" from the node, look at SLOWLOG, and give the region a Redis of its own where it is only far',
  };
};

const redisAnswers: Check = ({ l2, uptimeMs }) => {
  const errors = l2?.errors ?? 0;
  if (errors === 0) return undefined;
  return {
    level: 'warning',
    evidence: `Redis failed to answer ${errors} lookups since the agent started, ${duration(uptimeMs)} ago`,
    cause: 'failovers, timeouts, or a Redis that is overloaded',
    remedy:
      'see the agent’s metric edgecache_redis_connection_failures_total and Redis’ own log for the same time',
  };
};

const connectionsHold: Check = ({ redis }) => {
  const perMinute = redis?.connectionFailuresPerMinute ?? 0;
  const level = redis?.connected === true ? levelOf(perMinute, 5, 20) : undefined;
  if (level === undefined) return undefined;
  return {
    level,
    evidence: `${perMinute.toFixed(0)} connections to Redis failed in the last minute`,
    cause: 'a master that is down, maxclients, or a network that resets connections',
    remedy: 'see Redis’ log, and "redis-cli info clients" for how near maxclients it is',
  };
};

const inboxEmpty: Check = ({ events }) => {
  const size = events?.inboxSize ?? 0;
  const level = levelOf(size, 1_000, 5_000);
  if (level === undefined) return undefined;
  return {
    level,
    evidence: `${size} events wait to be applied`,
    cause: 'more events arrive than the agent has CPU for',
    remedy: 'raise the agent’s CPU limit; invalidate by tag instead of key by key',
  };
};

const partitionsKept: Check = ({ events, uptimeMs }) => {
  const resets = events?.partitionResets ?? 0;
  if (resets === 0) return undefined;
  return {
    level: 'warning',
    evidence: `${resets} times in ${duration(uptimeMs)} a partition’s entries were dropped from memory, because events could not be replayed`,
    cause:
      'Redis lost its log (restarted without persistence, a failover, eviction), or the agent was cut off for longer than the log reaches back',
    remedy:
      'give Redis append-only files and replicas (minReplicas for what must not be lost); see the log for "the log was rewritten or lost"',
  };
};

export const SLOW_LOOKUPS: readonly Check[] = [
  reachable,
  answeredFromMemory,
  redisIsNear,
  redisAnswers,
  connectionsHold,
  inboxEmpty,
  partitionsKept,
];

/** The namespace that costs the most answers from memory. */
function worstOf(namespaces: StatsResponse['namespaces']): string {
  const [worst] = [...namespaces].sort((a, b) => b.misses - a.misses);
  if (worst === undefined || namespaces.length < 2 || worst.misses === 0) return '';
  return ` (${worst.name}: ${percent(worst.hits / (worst.hits + worst.misses))} of ${worst.hits + worst.misses})`;
}

/** Why memory did not answer, what weighs most first. */
function causesOf(namespaces: StatsResponse['namespaces']): string {
  const sums = new Map<string, number>();
  for (const { cause, count } of namespaces.flatMap(({ l1Misses }) => l1Misses))
    sums.set(cause, (sums.get(cause) ?? 0) + count);
  const all = [...sums.values()].reduce((sum, count) => sum + count, 0);
  if (all === 0) return '';
  const shares = [...sums].sort(([, a], [, b]) => b - a).slice(0, 3);
  return `; the others were ${shares.map(([cause, count]) => `${cause} (${percent(count / all)})`).join(', ')}`;
}

function promiseOf(analytics: StatsResponse['analytics']): string {
  const [now, twice] = [1, 2].map((size) => analytics?.whatIf.find(({ factor }) => factor === size));
  if (now === undefined || twice === undefined) return '';
  return `: twice as many would answer ${percent(twice.l1HitRatio)} instead of ${percent(now.l1HitRatio)}, as a sample says`;
}

/** What there is to say where nothing is wrong. */
export function slowLookupsFigures(found: readonly Examined[]): string {
  const ratios = found.flatMap(({ value: { l1 } }) =>
    l1 === undefined || l1.hits + l1.misses < ENOUGH_LOOKUPS ? [] : [l1.hitRatio],
  );
  const asked =
    ratios.length === 0
      ? `no agent has answered ${ENOUGH_LOOKUPS} lookups yet`
      : `${rangeOf(ratios)} of lookups are answered from memory`;
  const slowest = Math.max(0, ...found.map(({ value }) => value.redis?.roundTripMs ?? 0));
  return `${asked}; Redis answers in ${slowest.toFixed(1)} ms (farthest agent)`;
}

function rangeOf(ratios: readonly number[]): string {
  const [least, most] = [percent(Math.min(...ratios)), percent(Math.max(...ratios))];
  return least === most ? least : `${least} to ${most}`;
}
