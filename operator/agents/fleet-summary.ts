import type { AgentStats } from './link.ts';

/** What is kept of an agent's statistics. */
export interface AgentSample {
  readonly at: number;
  readonly configHash: string;
  readonly l1Hits: number;
  readonly l1Misses: number;
  readonly l2Hits: number;
  readonly propagationP99Ms: number;
  readonly redisMemoryUsedMb: number;
  readonly isRedisConnected: boolean;
  /** Share of its configured size that L1 has; 1 where the agent does not say. */
  readonly l1SizeShare: number;
  /** Unix milliseconds; undefined: it shows none. */
  readonly certificateEndsAt: number | undefined;
}

/** What the agents of a tier say, all together. */
export interface FleetSummary {
  /** Agents that the Service knows. */
  readonly agents: number;
  /** Of those, how many have confirmed the newest configuration. */
  readonly configured: number;
  /** Why an agent will not run by it. */
  readonly refusal?: string;
  /** Why an agent could not be reached with it. */
  readonly failure?: string;
  readonly sampled: number;
  readonly redisConnected: number;
  /** Agents that keep less in memory than configured, because it runs short. */
  readonly shortOfMemory: number;
  /** Node of one of them: of the one that keeps the least. */
  readonly shortestNode?: string;
  /** When the first of the certificates ends that agents show; undefined: none is shown. */
  readonly certificateEndsAt?: number;
  readonly stats?: FleetStats;
}

/** Integers, as status holds nothing else. */
export interface FleetStats {
  readonly l1HitPercent?: number;
  readonly hitPercent?: number;
  readonly propagationP99Ms: number;
  readonly redisMemoryUsedMb: number;
}

export function sampleOf(stats: AgentStats, at: number, certificateEndsAt: number | undefined): AgentSample {
  return {
    at,
    configHash: stats.configHash,
    l1Hits: stats.l1.hits,
    l1Misses: stats.l1.misses,
    l2Hits: stats.l2.hits,
    propagationP99Ms: stats.events.propagationP99Ms,
    redisMemoryUsedMb: stats.redis.memoryUsedMb,
    isRedisConnected: stats.redis.connected,
    // Agents of earlier releases leave it out, which reads as 0.
    l1SizeShare: stats.l1.sizeShare || 1,
    certificateEndsAt,
  };
}

export function summarizeStats(samples: readonly AgentSample[]): FleetStats {
  const sum = (pick: (sample: AgentSample) => number) => samples.reduce((all, one) => all + pick(one), 0);
  const most = (pick: (sample: AgentSample) => number) =>
    samples.reduce((all, one) => Math.max(all, pick(one)), 0);
  const lookups = sum((s) => s.l1Hits + s.l1Misses);
  const percent = (hits: number) => Math.min(100, Math.floor((hits / lookups) * 100));
  return {
    // Without lookups there is no ratio, and 0 % would look like trouble.
    ...(lookups > 0
      ? { l1HitPercent: percent(sum((s) => s.l1Hits)), hitPercent: percent(sum((s) => s.l1Hits + s.l2Hits)) }
      : {}),
    propagationP99Ms: Math.ceil(most((s) => s.propagationP99Ms)),
    // All agents see the same Redis.
    redisMemoryUsedMb: Math.round(most((s) => s.redisMemoryUsedMb)),
  };
}
