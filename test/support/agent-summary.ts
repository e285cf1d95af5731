import type { AgentSummary } from '../../agent/fleet/summary.ts';

/** What an agent that has just started says of itself. */
export const SUMMARY: AgentSummary = {
  node: 'a',
  region: 'us-east',
  datacenter: '',
  tier: 'edge',
  version: '0.1.0',
  status: 'healthy',
  ready: true,
  uptimeMs: 1,
  entries: 0,
  maxEntries: 500,
  bytes: 0,
  maxBytes: 1,
  lookupsPerSecond: 0,
  eventsPerSecond: 0,
  l1HitRatio: 0,
  hitRatio: 0,
  propagationP50Ms: 0,
  propagationP99Ms: 0,
  leaseMs: 900,
  inbox: 0,
  outbox: 0,
  violations: 0,
  problems: 0,
};
