import { SEAL_FAILURES } from '../l2/encryption.ts';
import type { StatsSources } from '../stats.ts';
import type { Declarations } from './declarations.ts';

/** Redis as seen from this agent. What is in it is the same whichever agent tells it: take the maximum over agents, never the sum. */
export function redisMetrics({ connections, monitor, l2 }: StatsSources, declare: Declarations): void {
  declare.counter(
    'redis_connection_failures',
    'Connections to Redis that failed.',
    () => connections.failures,
  );
  declare.gauges(
    'redis_memory_used_bytes',
    'Memory that a Redis master uses; the same from each agent.',
    ['server'],
    () => monitor.masters.map(({ server, usedBytes }) => [{ server }, usedBytes] as const),
  );
  declare.gauges(
    'redis_memory_max_bytes',
    'Memory that a Redis master may use (maxmemory); 0 where it has no limit.',
    ['server'],
    () => monitor.masters.map(({ server, maxBytes }) => [{ server }, maxBytes] as const),
  );
  declare.gauges(
    'redis_problems',
    'Settings of Redis on which promises fail (error) or may come to (warning), see /statusz.',
    ['severity'],
    () =>
      (['error', 'warning'] as const).map(
        (severity) =>
          [{ severity }, monitor.problems.filter((problem) => problem.severity === severity).length] as const,
      ),
  );
  declare.gauges(
    'l2_bytes',
    'Bytes of entries in Redis, as accounted; the same from each agent.',
    ['cache_namespace'],
    () => [...monitor.usage].map(([name, { bytes }]) => [{ cache_namespace: name }, bytes] as const),
  );
  declare.counters(
    'l2_evictions',
    'Entries evicted from Redis to keep a namespace within its limit; the same from each agent.',
    ['cache_namespace'],
    () => [...monitor.usage].map(([name, { evictions }]) => [{ cache_namespace: name }, evictions] as const),
  );
  declare.counter('l2_unreadable', 'Entries in Redis that this agent cannot read.', () => l2.unreadable);
  declare.counters(
    'l2_unopened',
    'Values of encrypted namespaces that could not be opened and count as misses: sealed with an unknown key, altered, or plain.',
    ['reason'],
    () => SEAL_FAILURES.map((reason) => [{ reason }, l2.options.encryption?.failures[reason] ?? 0] as const),
  );
  declare.counter(
    'compression_plain_bytes',
    'Bytes of values that were above compressAboveBytes, before.',
    () => l2.compression.plainBytes,
  );
  declare.counter(
    'compression_stored_bytes',
    'Bytes of the same as they were stored.',
    () => l2.compression.storedBytes,
  );
}
