import type { StatsResponse } from '../../client/edge-cache-client.ts';
import { percent, short } from '../screen.ts';
import { type Check, type Examined, isOfRights, levelOf } from './finding.ts';

/** Where the agent itself begins to give: see docs/memory.md. */
const NEARLY_FULL = 0.85;
const NAMES = 3;

/** Agents say in words what is wrong with Redis: agent/redis/memory-checks.ts. */
const isOfEviction = (problem: string) => problem.includes('maxmemory-policy is');

const evictions: Check = ({ redis }) => {
  const problems = redis?.problems.filter(isOfEviction) ?? [];
  if (problems.length === 0) return undefined;
  return {
    level: 'error',
    evidence: problems.join('; '),
    cause: 'Redis may evict logs and markers like any other key, and without them events are lost',
    remedy: 'as it says, for every master and replica',
  };
};

const settings: Check = ({ redis }) => {
  const problems = redis?.problems.filter((problem) => !isOfRights(problem) && !isOfEviction(problem)) ?? [];
  if (problems.length === 0) return undefined;
  return {
    level: 'warning',
    evidence: problems.join('; '),
    cause: 'the settings of Redis do not go with what the cache may keep there',
    remedy: 'as it says; a Redis that is full refuses changes, which is seen and loses nothing',
  };
};

const shrunk: Check = ({ l1 }) => {
  // Agents of earlier releases leave it out, which reads as 0.
  const share = l1?.sizeShare || 1;
  if (share === 1) return undefined;
  return {
    level: 'warning',
    evidence: `keeps only ${percent(share)} of what is configured: ${l1?.entries} entries`,
    cause: 'its container’s memory or its heap is nearly full',
    remedy: 'raise spec.resources.limits.memory of the tier, or lower l1.maxEntries and l1.maxBytes',
  };
};

const nearItsLimit: Check = ({ memory, l1, namespaces }) => {
  const shares = memory.map(({ usedBytes, limitBytes }) => (limitBytes === 0 ? 0 : usedBytes / limitBytes));
  const fullest = memory[shares.indexOf(Math.max(0, ...shares))];
  const share = Math.max(0, ...shares);
  const level = levelOf(share, NEARLY_FULL, 0.95);
  if (level === undefined || fullest === undefined) return undefined;
  return {
    level,
    evidence: `its ${fullest.name === 'cgroup' ? 'container' : fullest.name} uses ${percent(share)} of ${short(fullest.limitBytes)} bytes; entries in memory take ${short(l1?.bytes ?? 0)}${largestOf(namespaces, ({ bytes }) => bytes)}`,
    cause: 'entries and what the process needs besides take more than its limit has room for',
    remedy:
      'raise spec.resources.limits.memory of the tier, or lower l1.maxBytes, or memoryLimit of the largest namespaces; it makes its memory smaller by itself before the kernel ends it',
  };
};

const redisFull: Check = ({ redis, namespaces }) => {
  const [used, max] = [redis?.memoryUsedMb ?? 0, redis?.memoryMaxMb ?? 0];
  const level = max === 0 ? undefined : levelOf(used / max, 0.8, 0.95);
  if (level === undefined) return undefined;
  return {
    level,
    evidence: `Redis uses ${percent(used / max)} of its maxmemory: ${used.toFixed(0)} of ${max.toFixed(0)} MB${largestOf(namespaces, ({ l2Bytes }) => l2Bytes)}`,
    cause: 'entries live longer, or are larger, than Redis has room for',
    remedy:
      'lower ttlSeconds of the largest namespaces, give them an l2MemoryLimit, or raise maxmemory; keep maxmemory-policy noeviction',
  };
};

const redisUnbounded: Check = ({ redis }) => {
  if (redis?.connected !== true || redis.memoryMaxMb !== 0) return undefined;
  return {
    level: 'warning',
    evidence: `Redis has no maxmemory, and uses ${redis.memoryUsedMb.toFixed(0)} MB`,
    cause: 'it is not set',
    remedy:
      'set maxmemory with maxmemory-policy noeviction: the kernel’s limit would end Redis instead of refusing a write',
  };
};

const atTheirLimit: Check = ({ namespaces }) => {
  const full = namespaces.filter(
    ({ l2LimitBytes: limit, l2Bytes, l2Evictions }) => limit > 0 && l2Bytes > limit * 0.9 && l2Evictions > 0,
  );
  if (full.length === 0) return undefined;
  return {
    level: 'warning',
    evidence: full
      .map(
        ({ name, l2Bytes, l2LimitBytes, l2Evictions }) =>
          `${name} has ${short(l2Bytes)} of ${short(l2LimitBytes)} bytes in Redis, ${l2Evictions} entries evicted`,
      )
      .join('; '),
    cause: 'more is kept there than l2MemoryLimit has room for: what is evicted is loaded anew',
    remedy: 'raise l2MemoryLimit where its hit ratio matters, or lower ttlSeconds; see compressAboveBytes',
  };
};

export const HIGH_MEMORY: readonly Check[] = [
  evictions,
  settings,
  shrunk,
  nearItsLimit,
  redisFull,
  redisUnbounded,
  atTheirLimit,
];

type NamespaceStats = StatsResponse['namespaces'][number];

function largestOf(namespaces: readonly NamespaceStats[], bytesOf: (one: NamespaceStats) => number): string {
  const largest = namespaces
    .filter((one) => bytesOf(one) > 0)
    .sort((a, b) => bytesOf(b) - bytesOf(a))
    .slice(0, NAMES)
    .map((one) => `${one.name} ${short(bytesOf(one))}`);
  return largest.length === 0 ? '' : `; largest: ${largest.join(', ')}`;
}

/** What there is to say where nothing is wrong. */
export function highMemoryFigures(found: readonly Examined[]): string {
  const shares = found.flatMap(({ value }) =>
    value.memory.map(({ usedBytes, limitBytes }) => (limitBytes === 0 ? 0 : usedBytes / limitBytes)),
  );
  const redis = found.map(({ value }) => value.redis).find((one) => one !== undefined && one.memoryMaxMb > 0);
  const used =
    redis === undefined
      ? ''
      : `; Redis uses ${percent(redis.memoryUsedMb / redis.memoryMaxMb)} of its maxmemory`;
  return `the fullest agent uses ${percent(Math.max(0, ...shares))} of its memory${used}`;
}
