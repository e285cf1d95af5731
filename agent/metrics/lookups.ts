import type { NamespaceReads } from '../analytics/analytics.ts';
import type { StatsSources } from '../stats.ts';
import type { Declarations } from './declarations.ts';

/** What became of lookups, and what the audit says of the answers. */
export function lookupMetrics(sources: StatsSources, declare: Declarations): void {
  const { reader, analytics, audit, ttl } = sources;
  const { counters } = reader;
  declare.counters(
    'lookups',
    'Lookups by namespace and by what answered: l1 (memory), l2 (Redis), miss, stale (marked so), degraded (go to the source of truth).',
    ['cache_namespace', 'answer'],
    () => [...analytics.byNamespace.values()].flatMap(answersOf),
  );
  declare.counter('l1_hits', 'Lookups answered from memory.', () => counters.l1Hits);
  declare.counter('l1_misses', 'Lookups that memory could not answer.', () => counters.l1Misses);
  declare.counter('l2_hits', 'Lookups answered from Redis.', () => counters.l2Hits);
  declare.counter('l2_misses', 'Lookups for which Redis had no valid entry.', () => counters.l2Misses);
  declare.counter(
    'l2_errors',
    'Lookups that Redis failed to answer; never counted as misses.',
    () => counters.l2Errors,
  );
  declare.counter(
    'stale_served',
    'Answers marked stale: Redis was out of reach, or somebody else was loading.',
    () => counters.staleServed,
  );
  declare.counter(
    'degraded',
    'Lookups answered degraded: go to the source of truth.',
    () => counters.degraded,
  );
  declare.gauge('l2_reads_waiting', 'Reads that wait for their turn at Redis.', () => reader.waiting);
  declare.counter(
    'audit_reads',
    'Answers from memory that were compared with Redis later.',
    () => audit.reads,
  );
  declare.counters(
    'audit_violations',
    'Answers from memory that the audit found older than the bound, by how much later it looked.',
    ['window'],
    () => [...audit.violations].map(([windowMs, count]) => [{ window: `${windowMs}ms` }, count] as const),
  );
  declare.counters(
    'adaptive_ttl_entries',
    'Entries that this agent wrote with a TTL of its own choice: longer, shorter, or the configured one.',
    ['cache_namespace', 'ttl'],
    () =>
      [...ttl.byNamespace].flatMap(([namespace, { longer, shorter, unchanged }]) =>
        Object.entries({ longer, shorter, unchanged }).map(
          ([choice, count]) => [{ cache_namespace: namespace, ttl: choice }, count] as const,
        ),
      ),
  );
}

function answersOf({ name, hits, l2Hits, misses, expiredGiven, staleGiven, degraded }: NamespaceReads) {
  const answers = {
    l1: hits - l2Hits,
    l2: l2Hits,
    miss: misses - expiredGiven,
    stale: expiredGiven + staleGiven,
    degraded,
  };
  return Object.entries(answers).map(
    ([answer, count]) => [{ cache_namespace: name, answer }, count] as const,
  );
}
