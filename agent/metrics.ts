import { Counter, collectDefaultMetrics, Gauge, Histogram, type Registry } from 'prom-client';
import { analyticsMetrics } from './analytics/metrics.ts';
import { ratioOf } from './memory/pressure.ts';
import type { StatsSources } from './stats.ts';
import { healthOf } from './stats.ts';

/** What is observed as it happens; everything else is read from the parts when it is scraped. */
export interface ObservedMetrics {
  readonly propagation: Histogram;
}

/** Prometheus registry of an agent. */
export function buildMetrics(sources: StatsSources, registry: Registry): ObservedMetrics {
  collectDefaultMetrics({ register: registry });
  const { reader, feed, inbox, outbox, l1, connections } = sources;
  const counter = (name: string, help: string, read: () => number) => {
    new Counter({
      name: `edgecache_${name}_total`,
      help,
      registers: [registry],
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  };
  const gauge = (name: string, help: string, read: () => number) => {
    new Gauge({
      name: `edgecache_${name}`,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  };
  counter('l1_hits', 'Lookups answered from memory.', () => reader.counters.l1Hits);
  counter('l1_misses', 'Lookups that memory could not answer.', () => reader.counters.l1Misses);
  counter('l2_hits', 'Lookups answered from Redis.', () => reader.counters.l2Hits);
  counter('l2_misses', 'Lookups for which Redis had no valid entry.', () => reader.counters.l2Misses);
  counter(
    'l2_errors',
    'Lookups that Redis failed to answer; never counted as misses.',
    () => reader.counters.l2Errors,
  );
  counter(
    'stale_served',
    'Answers marked stale, given while Redis was out of reach.',
    () => reader.counters.staleServed,
  );
  counter(
    'degraded',
    'Lookups answered degraded: go to the source of truth.',
    () => reader.counters.degraded,
  );
  counter('l1_evictions', 'Entries evicted from memory for room.', () => l1.evictions);
  counter('l1_invalidations', 'Entries dropped from memory by events.', () => l1.invalidations);
  counter(
    'l1_replacements',
    'Entries replaced in memory by the value that an event carried.',
    () => reader.replaced,
  );
  counter('l2_unreadable', 'Entries in Redis that this agent cannot read.', () => sources.l2.unreadable);
  counter(
    'compression_plain_bytes',
    'Bytes of values that were above compressAboveBytes, before.',
    () => sources.l2.compression.plainBytes,
  );
  counter(
    'compression_stored_bytes',
    'Bytes of the same as they were stored.',
    () => sources.l2.compression.storedBytes,
  );
  counter('events_received', 'Events received in order.', () => feed.counters.received);
  counter('events_applied', 'Events applied to memory.', sources.eventsApplied);
  counter('events_merged', 'Events merged with an equal one that was waiting.', () => inbox.merged);
  counter(
    'event_duplicates',
    'Messages of events that had been received before.',
    () => feed.counters.duplicates,
  );
  counter('event_poisoned', 'Messages that were not events, skipped.', () => feed.counters.poisoned);
  counter('gaps_repaired', 'Gaps in a partition closed from the log.', () => feed.counters.gapsRepaired);
  counter(
    'partition_resets',
    'Partitions dropped because completeness could not be proved.',
    () => feed.counters.resets,
  );
  counter('lease_renewals', 'Freshness leases renewed.', () => feed.counters.renewals);
  counter('lease_renewal_failures', 'Renewals that failed.', () => feed.counters.renewalFailures);
  counter('changes_published', 'Changes that this agent made in Redis.', () => sources.changes.published);
  counter('outbox_sent', 'Queued changes sent when Redis was back.', () => outbox.sent);
  counter('outbox_refused', 'Queued changes that Redis refused for good.', () => outbox.refused);
  counter('redis_connection_failures', 'Connections to Redis that failed.', () => connections.failures);
  counter(
    'audit_reads',
    'Answers from memory that were compared with Redis later.',
    () => sources.audit.reads,
  );
  new Counter({
    name: 'edgecache_audit_violations_total',
    help: 'Answers from memory that the audit found older than the bound, by how much later it looked.',
    labelNames: ['window'],
    registers: [registry],
    collect() {
      this.reset();
      for (const [windowMs, count] of sources.audit.violations) this.inc({ window: `${windowMs}ms` }, count);
    },
  });
  gauge('l1_entries', 'Entries in memory.', () => l1.entries);
  gauge('l1_bytes', 'Bytes of entries in memory, keys and tags included.', () => l1.bytes);
  gauge('l1_max_entries', 'Most entries in memory.', () => l1.limits.maxEntries);
  gauge(
    'l1_size_share',
    'Share of its configured size that memory has; below 1: shrunk because memory is short.',
    () => sources.pressure.share,
  );
  counter(
    'memory_pressure_steps',
    'Times that memory was made smaller because it ran short.',
    () => sources.pressure.steps,
  );
  new Gauge({
    name: 'edgecache_memory_used_ratio',
    help: 'What is used of the memory that the agent may use.',
    labelNames: ['of'],
    registers: [registry],
    collect() {
      for (const use of sources.memoryUses()) this.set({ of: use.name }, ratioOf(use));
    },
  });
  counter(
    'preloaded_entries',
    'Entries read into memory before they were asked for.',
    () => sources.warmUp.counters.preloaded,
  );
  counter(
    'warm_up_failures',
    'Times that hot keys could not be reported or preloaded.',
    () => sources.warmUp.counters.failures,
  );
  gauge('inbox_size', 'Events received and not yet applied.', () => inbox.size);
  gauge('l2_reads_waiting', 'Reads that wait for their turn at Redis.', () => reader.waiting);
  gauge('outbox_size', 'Changes accepted and not yet sent.', () => outbox.size);
  gauge('outbox_bytes', 'Bytes of changes accepted and not yet sent.', () => outbox.bytes);
  gauge('last_event_age_seconds', 'Time since the last event.', () => (feed.lastEventAgeMs ?? 0) / 1000);
  gauge('partitions_subscribed', 'Partitions with a standing subscription.', () => feed.subscribed);
  gauge('watchers', 'Clients that follow invalidations.', () => sources.watchers.size);
  gauge(
    'watchers_leased',
    'Of these, those that may answer from a near cache.',
    () => sources.watchers.leased,
  );
  gauge('healthy', '1 where events are complete and Redis answers.', () =>
    healthOf(sources) === 'healthy' ? 1 : 0,
  );
  l2Metrics(sources, registry);
  analyticsMetrics(sources.analytics, registry);
  new Counter({
    name: 'edgecache_adaptive_ttl_entries_total',
    help: 'Entries that this agent wrote with a TTL of its own choice: longer, shorter, or the configured one.',
    labelNames: ['namespace', 'ttl'],
    registers: [registry],
    collect() {
      this.reset();
      for (const [namespace, { longer, shorter, unchanged }] of sources.ttl.byNamespace) {
        this.inc({ namespace, ttl: 'longer' }, longer);
        this.inc({ namespace, ttl: 'shorter' }, shorter);
        this.inc({ namespace, ttl: 'unchanged' }, unchanged);
      }
    },
  });
  const propagation = new Histogram({
    name: 'edgecache_propagation_seconds',
    help: 'From an event in the log to its being applied here, by Redis’ clock as this agent estimates it.',
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
    registers: [registry],
  });
  return { propagation };
}

/** What is in Redis is the same whichever agent tells it: take the maximum over agents, never the sum. */
function l2Metrics({ monitor }: StatsSources, registry: Registry): void {
  const labelNames = ['namespace'];
  const registers = [registry];
  new Gauge({
    name: 'edgecache_l2_bytes',
    help: 'Bytes of entries in Redis, as accounted; the same from each agent.',
    labelNames,
    registers,
    collect() {
      this.reset();
      for (const [namespace, { bytes }] of monitor.usage) this.set({ namespace }, bytes);
    },
  });
  new Counter({
    name: 'edgecache_l2_evictions_total',
    help: 'Entries evicted from Redis to keep a namespace within its limit; the same from each agent.',
    labelNames,
    registers,
    collect() {
      this.reset();
      for (const [namespace, { evictions }] of monitor.usage) this.inc({ namespace }, evictions);
    },
  });
  new Gauge({
    name: 'edgecache_redis_problems',
    help: 'Settings of Redis on which promises fail (error) or may come to (warning), see /statusz.',
    labelNames: ['severity'],
    registers,
    collect() {
      for (const severity of ['error', 'warning'] as const)
        this.set({ severity }, monitor.problems.filter((problem) => problem.severity === severity).length);
    },
  });
}
