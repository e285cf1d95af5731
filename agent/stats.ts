import type { AgentConfig } from '../api/agent-config.ts';
import type { Namespace } from '../api/namespace.ts';
import type { StatsRequest, StatsResponse } from '../proto/gen/edgecache/v1/edgecache.ts';
import type { Analytics } from './analytics/analytics.ts';
import type { Audit } from './audit/audit.ts';
import type { Feed } from './bus/feed.ts';
import type { Inbox } from './bus/inbox.ts';
import type { L1 } from './cache/l1.ts';
import type { Reader } from './cache/reader.ts';
import type { Changes } from './change/changes.ts';
import type { Outbox } from './change/outbox.ts';
import type { L2 } from './l2/l2.ts';
import type { MemoryUse } from './memory/memory-sources.ts';
import type { Pressure } from './memory/pressure.ts';
import type { RecentDurations } from './propagation.ts';
import type { CommandConnections } from './redis/connections.ts';
import { describeProblem } from './redis/memory-checks.ts';
import type { RedisMonitor } from './redis/monitor.ts';
import type { AdaptiveTtl } from './ttl/adaptive-ttl.ts';
import type { WarmUp } from './warmup/warm-up.ts';
import type { Watchers } from './watch/watchers.ts';

/** The parts of an agent that its statistics are read from. */
export interface StatsSources {
  readonly config: () => AgentConfig;
  readonly l1: L1;
  readonly l2: L2;
  readonly reader: Reader;
  readonly analytics: Analytics;
  readonly ttl: AdaptiveTtl;
  readonly feed: Feed;
  readonly inbox: Inbox;
  readonly outbox: Outbox;
  readonly changes: Changes;
  readonly watchers: Watchers;
  readonly pressure: Pressure;
  readonly warmUp: WarmUp;
  readonly memoryUses: () => readonly MemoryUse[];
  readonly connections: CommandConnections;
  readonly propagation: RecentDurations;
  readonly monitor: Pick<RedisMonitor, 'memory' | 'masters' | 'problems' | 'usage' | 'failuresPerMinute'>;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Milliseconds since 1970, as this node has it. */
  readonly wallClock: () => number;
  readonly startedAt: number;
  readonly eventsApplied: () => number;
  readonly audit: Audit;
  /** Names the file of configuration that the agent runs by. */
  readonly configHash: () => string;
}

export type HealthStatus = 'healthy' | 'degraded' | 'unhealthy';

/**
 * What an agent says of itself: unhealthy where no L2 answers, degraded where events are not complete. It is about
 * what is received and applied, not about loops that run.
 */
export function healthOf({
  connections,
  feed,
  config,
}: Pick<StatsSources, 'connections' | 'feed' | 'config'>): HealthStatus {
  if (!connections.connected) return 'unhealthy';
  return feed.complete || !config().eventDriven ? 'healthy' : 'degraded';
}

export function ratio(part: number, rest: number): number {
  return part + rest === 0 ? 0 : part / (part + rest);
}

const MEGABYTE = 1e6;
const NO_CHOICES = { longer: 0, shorter: 0, unchanged: 0, sumMs: 0 };

type NamespaceStats = StatsResponse['namespaces'][number];

/** Most keys that one answer names of each kind. */
const MAX_TOP = 100;

export function collectStats(sources: StatsSources, { top }: StatsRequest = { top: 0 }): StatsResponse {
  const { config, l1, reader, analytics, monitor, now, startedAt } = sources;
  const { nodeId, region, datacenter, tier, namespaces } = config();
  const { l1Hits, l1Misses, l2Hits, l2Misses, l2Errors } = reader.counters;
  return {
    nodeId,
    region,
    datacenter,
    tier,
    status: healthOf(sources),
    uptimeMs: Math.floor(now() - startedAt),
    l1: {
      entries: l1.entries,
      maxEntries: l1.limits.maxEntries,
      bytes: l1.bytes,
      hits: l1Hits,
      misses: l1Misses,
      evictions: l1.evictions,
      hitRatio: ratio(l1Hits, l1Misses),
      preloaded: sources.warmUp.counters.preloaded,
      sizeShare: sources.pressure.share,
    },
    l2: {
      hits: l2Hits,
      misses: l2Misses,
      errors: l2Errors,
      hitRatio: ratio(l2Hits, l2Misses),
      plainBytes: sources.l2.compression.plainBytes,
      storedBytes: sources.l2.compression.storedBytes,
      unreadable: sources.l2.unreadable,
    },
    events: eventStats(sources),
    redis: redisStats(sources),
    audit: { reads: sources.audit.reads, violations: sources.audit.violationCount },
    configHash: sources.configHash(),
    memory: sources.memoryUses().map(toMemoryUse),
    analytics: analyticsStats(sources, Math.min(top, MAX_TOP)),
    namespaces: namespaces.map((rules) => ({
      name: rules.name,
      ...l1.statsOf(rules.name),
      hits: analytics.reads(rules.name).hits,
      misses: analytics.reads(rules.name).misses,
      l1Misses: [...analytics.reads(rules.name).causes].map(([cause, count]) => ({ cause, count })),
      ttlMs: rules.ttlSeconds * 1000,
      eventDriven: rules.eventDriven,
      critical: rules.critical,
      l2Bytes: monitor.usage.get(rules.name)?.bytes ?? 0,
      l2Entries: monitor.usage.get(rules.name)?.entries ?? 0,
      l2LimitBytes: rules.l2MemoryLimitBytes,
      adaptiveTtl: ttlStats(sources, rules),
      l2Evictions: monitor.usage.get(rules.name)?.evictions ?? 0,
    })),
  };
}

/** A share of V8's limit is no whole number, and nothing else may travel. */
function toMemoryUse({ name, usedBytes, limitBytes }: MemoryUse): StatsResponse['memory'][number] {
  return { name, usedBytes: Math.round(usedBytes), limitBytes: Math.round(limitBytes) };
}

function ttlStats({ ttl }: StatsSources, { name, adaptiveTtl }: Namespace): NamespaceStats['adaptiveTtl'] {
  if (adaptiveTtl === undefined) return undefined;
  const { longer, shorter, unchanged, sumMs } = ttl.byNamespace.get(name) ?? NO_CHOICES;
  const all = longer + shorter + unchanged;
  return { longer, shorter, unchanged, meanMs: all === 0 ? 0 : Math.round(sumMs / all) };
}

function analyticsStats(
  { analytics: { hot, largest, churn, curve }, l1 }: StatsSources,
  top: number,
): NonNullable<StatsResponse['analytics']> {
  return {
    hottest: top === 0 ? [] : hot.top(top),
    largest: top === 0 ? [] : largest.top(top, (namespace, key) => l1.weightOf(namespace, key)),
    churn: churn.byType(),
    whatIf: curve.points().map(({ factor, hitRatio }) => ({ factor, l1HitRatio: hitRatio })),
  };
}

function eventStats({
  feed,
  inbox,
  outbox,
  changes,
  l1,
  propagation,
  eventsApplied,
  config,
}: StatsSources): NonNullable<StatsResponse['events']> {
  return {
    processed: eventsApplied(),
    published: changes.published,
    duplicates: feed.counters.duplicates,
    invalidations: l1.invalidations,
    gapsRepaired: feed.counters.gapsRepaired,
    partitionResets: feed.counters.resets,
    inboxSize: inbox.size,
    outboxSize: outbox.size,
    lastEventAgeMs: Math.floor(feed.lastEventAgeMs ?? 0),
    propagationP50Ms: propagation.percentile(0.5),
    propagationP99Ms: propagation.percentile(0.99),
    partitions: config().eventDriven ? feed.partitions.length : 0,
    partitionsLeased: config().eventDriven ? feed.leased : 0,
    leasesLost: feed.counters.leasesLost,
    subscriptionsLost: feed.counters.subscriptionsLost,
    outboxAgeMs: Math.round(outbox.oldestAgeMs),
  };
}

function redisStats({
  connections,
  feed,
  monitor,
  config,
  wallClock,
}: StatsSources): NonNullable<StatsResponse['redis']> {
  const { memory: used, problems, failuresPerMinute } = monitor;
  const { nowMs, roundTripMs } = feed.clock;
  return {
    connected: connections.connected,
    pubsubActive: feed.subscribed === feed.partitions.length,
    memoryUsedMb: (used?.usedBytes ?? 0) / MEGABYTE,
    memoryMaxMb: (used?.maxBytes ?? 0) / MEGABYTE,
    connectionFailuresPerMinute: failuresPerMinute,
    mode: config().redis.mode,
    problems: problems.map(describeProblem),
    roundTripMs: roundTripMs ?? 0,
    clockOffsetMs: nowMs === undefined ? 0 : Math.round(nowMs - wallClock()),
  };
}
