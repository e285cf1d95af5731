import { collectDefaultMetrics, Histogram, type Registry } from 'prom-client';
import { analyticsMetrics } from './analytics/metrics.ts';
import { ratioOf } from './memory/pressure.ts';
import { CallDurations, type TraceIds } from './metrics/call-durations.ts';
import { Declarations } from './metrics/declarations.ts';
import { eventMetrics } from './metrics/events.ts';
import { lookupMetrics } from './metrics/lookups.ts';
import { redisMetrics } from './metrics/redis.ts';
import type { StatsSources } from './stats.ts';
import { healthOf } from './stats.ts';

/** What is observed as it happens; everything else is read from the parts when it is scraped. */
export interface ObservedMetrics {
  /** @param trace of which the observation becomes an exemplar */
  readonly propagation: (seconds: number, trace: TraceIds | undefined) => void;
  readonly calls: CallDurations;
}

/** Prometheus registry of an agent. docs/reference/metrics.md is made from it. */
export function buildMetrics(sources: StatsSources, registry: Registry, exemplars: boolean): ObservedMetrics {
  collectDefaultMetrics({ register: registry });
  const declare = new Declarations(registry);
  identityMetrics(sources, declare);
  lookupMetrics(sources, declare);
  memoryMetrics(sources, declare);
  eventMetrics(sources, declare);
  redisMetrics(sources, declare);
  analyticsMetrics(sources.analytics, declare);
  const propagation = new Histogram({
    name: 'edgecache_propagation_seconds',
    help: 'From an event in the log to its being applied here, by Redis’ clock as this agent estimates it.',
    // Half a second and two are what the alerts ask about.
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10],
    registers: [],
    enableExemplars: exemplars,
  });
  // Afterwards, because the library has exemplars in registries of OpenMetrics alone; which form is written is decided
  // for each scrape: see http/exposition.ts.
  registry.registerMetric(propagation);
  return {
    propagation: exemplars
      ? (value, trace) => propagation.observe({ value, ...(trace && { exemplarLabels: { ...trace } }) })
      : (value) => propagation.observe(value),
    calls: new CallDurations(registry),
  };
}

function identityMetrics(sources: StatsSources, declare: Declarations): void {
  declare.gauges(
    'agent_info',
    'Always 1: what this agent is.',
    ['node_id', 'region', 'datacenter', 'tier', 'cache_id'],
    () => {
      const { nodeId, region, datacenter, tier, cacheId } = sources.config();
      return [[{ node_id: nodeId, region, datacenter, tier, cache_id: cacheId }, 1]];
    },
  );
  declare.gauge('healthy', '1 where events are complete and Redis answers.', () =>
    healthOf(sources) === 'healthy' ? 1 : 0,
  );
}

/** What this process holds, and the room that it has. */
function memoryMetrics(sources: StatsSources, declare: Declarations): void {
  const { l1, reader, pressure, warmUp } = sources;
  declare.gauge('l1_entries', 'Entries in memory.', () => l1.entries);
  declare.gauge('l1_bytes', 'Bytes of entries in memory, keys and tags included.', () => l1.bytes);
  declare.gauge('l1_max_entries', 'Most entries in memory.', () => l1.limits.maxEntries);
  declare.gauge('l1_max_bytes', 'Most bytes of entries in memory.', () => l1.limits.maxBytes);
  declare.gauge(
    'l1_size_ratio',
    'Share of its configured size that memory has; below 1: shrunk because memory is short.',
    () => pressure.share,
  );
  declare.counter('l1_evictions', 'Entries evicted from memory for room.', () => l1.evictions);
  declare.counter('l1_invalidations', 'Entries dropped from memory by events.', () => l1.invalidations);
  declare.counter(
    'l1_replacements',
    'Entries replaced in memory by the value that an event carried.',
    () => reader.replaced,
  );
  declare.counter(
    'memory_pressure_steps',
    'Times that memory was made smaller because it ran short.',
    () => pressure.steps,
  );
  declare.gauges('memory_used_ratio', 'What is used of the memory that the agent may use.', ['of'], () =>
    sources.memoryUses().map((use) => [{ of: use.name }, ratioOf(use)] as const),
  );
  declare.counter(
    'preloaded_entries',
    'Entries read into memory before they were asked for.',
    () => warmUp.counters.preloaded,
  );
  declare.counter(
    'warm_up_failures',
    'Times that hot keys could not be reported or preloaded.',
    () => warmUp.counters.failures,
  );
}
