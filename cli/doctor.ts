import type { StatsResponse } from '../client/edge-cache-client.ts';
import type { Asked } from './agents.ts';
import { percent } from './screen.ts';

/** What people come to a doctor with. */
export const COMPLAINTS = ['stale data', 'high memory', 'slow lookups'] as const;
export type Complaint = (typeof COMPLAINTS)[number];

export interface Finding {
  readonly complaint: Complaint;
  readonly level: 'warning' | 'error';
  /** Agent that it was found on. */
  readonly agent: string;
  readonly evidence: string;
  readonly cause: string;
  readonly remedy: string;
}

type Said = Omit<Finding, 'agent' | 'complaint'>;
type Check = (stats: StatsResponse) => Said | undefined;

/** Agents say in words what is wrong with Redis: agent/redis/rights.ts. */
function isOfRights(problem: string): boolean {
  return problem.includes('the user of Redis lacks rights');
}

/** Fewer lookups than this say nothing of a ratio. */
const ENOUGH_LOOKUPS = 1_000;

const CHECKS: Readonly<Record<Complaint, readonly Check[]>> = {
  'stale data': [
    ({ redis }) => {
      const problem = redis?.problems.find(isOfRights);
      if (problem === undefined) return undefined;
      return {
        level: 'error',
        evidence: problem,
        cause: 'the ACL of Redis gives the agents’ user less than they need; what they ask there fails',
        remedy: 'give it the rights that are named; the whole line for ACL SETUSER is in docs/security.md',
      };
    },
    ({ audit }) =>
      (audit?.violations ?? 0) === 0
        ? undefined
        : {
            level: 'error',
            evidence: `${audit?.violations} of ${audit?.reads} answers from memory that were checked later were older than the bound`,
            cause: 'changes are made in Redis past the agents, or the agent was held up beyond its lease',
            remedy:
              'make every change through an agent; see the log for "the audit found" and report what it says',
          },
    ({ redis }) =>
      redis?.connected !== true
        ? undefined
        : redis.pubsubActive
          ? undefined
          : {
              level: 'error',
              evidence: 'not every partition is subscribed',
              cause:
                'the event connection to a master is being made, or is refused (ACL, NetworkPolicy, output buffer limit)',
              remedy:
                'see the agent’s log for "event subscription lost"; critical lookups are answered from Redis meanwhile, so nothing is stale, only slower',
            },
    ({ events }) => {
      const p99 = events?.propagationP99Ms ?? 0;
      if (p99 <= 500) return undefined;
      return {
        level: p99 > 2_000 ? 'error' : 'warning',
        evidence: `events take ${p99.toFixed(0)} ms to be applied (99th percentile)`,
        cause: 'the agent has too little CPU, or the network to Redis is slow',
        remedy: 'raise the agent’s CPU limit; compare with "edgecache top" of other nodes',
      };
    },
    ({ events }) =>
      (events?.outboxSize ?? 0) === 0
        ? undefined
        : {
            level: 'warning',
            evidence: `${events?.outboxSize} changes were accepted and not yet sent`,
            cause: 'Redis is, or was just, out of the agent’s reach',
            remedy:
              'bring Redis back; they are sent once, in order. A growing number means that it is still away',
          },
  ],
  'high memory': [
    ({ redis }) => {
      const problems = redis?.problems.filter((problem) => !isOfRights(problem)) ?? [];
      if (problems.length === 0) return undefined;
      return {
        level: 'error',
        evidence: problems.join('; '),
        cause: 'the settings of Redis do not go with what the cache keeps there',
        remedy: 'as it says; logs and markers, without which events are lost, are evicted like any other key',
      };
    },
    ({ l1 }) => {
      // Agents of earlier releases leave it out, which reads as 0.
      const share = l1?.sizeShare || 1;
      if (share === 1) return undefined;
      return {
        level: 'warning',
        evidence: `keeps only ${percent(share)} of what is configured: ${l1?.entries} entries`,
        cause: 'its container’s memory or its heap is nearly full',
        remedy: 'raise spec.resources.limits.memory of the tier, or lower l1.maxEntries and l1.maxBytes',
      };
    },
    ({ redis }) => {
      const [used, max] = [redis?.memoryUsedMb ?? 0, redis?.memoryMaxMb ?? 0];
      if (max === 0 || used / max <= 0.8) return undefined;
      return {
        level: used / max > 0.95 ? 'error' : 'warning',
        evidence: `Redis uses ${percent(used / max)} of its maxmemory: ${used.toFixed(0)} of ${max.toFixed(0)} MB`,
        cause: 'entries live longer, or are larger, than Redis has room for',
        remedy:
          'lower ttlSeconds of the largest namespaces (edgecache stats), or raise maxmemory; keep maxmemory-policy noeviction',
      };
    },
    ({ l1, redis }) =>
      redis?.memoryMaxMb === 0 && redis.connected && l1 !== undefined
        ? {
            level: 'warning',
            evidence: 'Redis has no maxmemory',
            cause: 'it is not set',
            remedy:
              'set maxmemory with maxmemory-policy noeviction: the kernel’s limit would end Redis instead of refusing a write',
          }
        : undefined,
  ],
  'slow lookups': [
    ({ l1, namespaces, analytics }) => {
      const { hits = 0, misses = 0, hitRatio = 0, entries = 0, maxEntries = 0, evictions = 0 } = l1 ?? {};
      if (hits + misses < ENOUGH_LOOKUPS || hitRatio >= 0.7) return undefined;
      const isFull = entries >= maxEntries * 0.95 && evictions > 0;
      return {
        level: hitRatio < 0.5 ? 'error' : 'warning',
        evidence: `${percent(hitRatio)} of ${hits + misses} lookups were answered from memory; ${entries} of ${maxEntries} entries, ${evictions} evicted${causesOf(namespaces)}`,
        cause: isFull
          ? 'memory is too small for what is asked'
          : 'entries end, or are invalidated, before they are asked for again',
        remedy: isFull
          ? `raise l1.maxEntries in the tier${promiseOf(analytics)}`
          : 'raise l1TtlSeconds where namespaces are event-driven; invalidate by key instead of whole namespaces; see pushValueBytes for hot keys that change often',
      };
    },
    ({ l2 }) =>
      (l2?.errors ?? 0) === 0
        ? undefined
        : {
            level: 'warning',
            evidence: `Redis failed to answer ${l2?.errors} lookups since the agent started`,
            cause: 'failovers, timeouts, or a Redis that is overloaded',
            remedy:
              'see the agent’s metric edgecache_redis_connection_failures_total and Redis’ own log for the same time',
          },
    ({ events }) =>
      (events?.inboxSize ?? 0) <= 1_000
        ? undefined
        : {
            level: (events?.inboxSize ?? 0) > 5_000 ? 'error' : 'warning',
            evidence: `${events?.inboxSize} events wait to be applied`,
            cause: 'more events arrive than the agent has CPU for',
            remedy: 'raise the agent’s CPU limit; invalidate by tag instead of key by key',
          },
  ],
};

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

/** What is wrong, agent by agent, worst first. */
export function examine(asked: readonly Asked<StatsResponse>[]): Finding[] {
  const found = asked.flatMap(({ name: agent, value, error }): Finding[] => {
    if (value !== undefined) return examineOne(agent, value);
    const cause = 'the agent is down, not ready, or cannot be reached from here';
    const remedy = 'kubectl describe its pod, and read its log; lookups of its node go to loaders meanwhile';
    const evidence = `does not answer: ${error.message}`;
    return [{ complaint: 'slow lookups', level: 'error', agent, evidence, cause, remedy }];
  });
  return found.sort((a, b) => rank(a) - rank(b));
}

function examineOne(agent: string, stats: StatsResponse): Finding[] {
  return COMPLAINTS.flatMap((complaint) =>
    CHECKS[complaint].flatMap((check) => {
      const said = check(stats);
      return said === undefined ? [] : [{ complaint, agent, ...said }];
    }),
  );
}

function rank({ complaint, level }: Finding): number {
  return (level === 'error' ? 0 : COMPLAINTS.length) + COMPLAINTS.indexOf(complaint);
}
