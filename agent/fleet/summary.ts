import { z } from 'zod';
import { collectStats, type StatsSources } from '../stats.ts';
import { VERSION } from '../version.ts';
import type { Rates } from './rates.ts';

const count = z.number().min(0);
const share = z.number().min(0).max(1);
const name = z.string().max(256);

/** What an agent tells the others of itself. Others may be older or newer: what is not known is passed over. */
export const summarySchema = z.object({
  node: name,
  region: name,
  datacenter: name,
  tier: name,
  version: name,
  status: z.enum(['healthy', 'degraded', 'unhealthy']),
  ready: z.boolean(),
  uptimeMs: count,
  entries: count,
  maxEntries: count,
  bytes: count,
  maxBytes: count,
  /** Of the last minute: lookups a second, and the shares of them that memory, and memory or Redis, answered. */
  lookupsPerSecond: count,
  eventsPerSecond: count,
  l1HitRatio: share,
  hitRatio: share,
  propagationP50Ms: count,
  propagationP99Ms: count,
  /** Shortest lease over all partitions when this was said; above 0, all of memory may answer. */
  leaseMs: count,
  inbox: count,
  outbox: count,
  violations: count,
  problems: count,
});
export type AgentSummary = z.infer<typeof summarySchema>;

export function summarize(sources: StatsSources, ready: boolean, rates: Rates): AgentSummary {
  const stats = collectStats(sources);
  const { feed, l1, now } = sources;
  const { lookupsPerSecond, eventsPerSecond, l1HitRatio, hitRatio } = rates;
  const lease = Math.min(...feed.partitions.map(({ freshCriticalUntil }) => freshCriticalUntil)) - now();
  return {
    node: stats.nodeId,
    region: stats.region,
    datacenter: stats.datacenter,
    tier: stats.tier,
    version: VERSION,
    status: stats.status === 'healthy' || stats.status === 'degraded' ? stats.status : 'unhealthy',
    ready,
    uptimeMs: stats.uptimeMs,
    entries: l1.entries,
    maxEntries: l1.limits.maxEntries,
    bytes: l1.bytes,
    maxBytes: l1.limits.maxBytes,
    lookupsPerSecond: rounded(lookupsPerSecond),
    eventsPerSecond: rounded(eventsPerSecond),
    l1HitRatio: rounded(l1HitRatio),
    hitRatio: rounded(hitRatio),
    propagationP50Ms: rounded(stats.events?.propagationP50Ms ?? 0),
    propagationP99Ms: rounded(stats.events?.propagationP99Ms ?? 0),
    leaseMs: Math.max(0, Math.round(lease)),
    inbox: stats.events?.inboxSize ?? 0,
    outbox: stats.events?.outboxSize ?? 0,
    violations: stats.audit?.violations ?? 0,
    problems: stats.redis?.problems.length ?? 0,
  };
}

function rounded(value: number): number {
  return Math.max(0, Math.round(value * 10_000) / 10_000);
}
