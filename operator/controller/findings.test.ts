import { expect, test } from 'vitest';
import type { FleetSummary } from '../agents/fleet-summary.ts';
import { aTier, contextOf } from '../testing/a-tier.ts';
import { conditionEvents } from './announcements.ts';
import { toConditions } from './conditions.ts';
import { findingsOf, type Observation } from './findings.ts';
import { STATS_STATUS_INTERVAL_MS, statusOf } from './status.ts';

const fleet: FleetSummary = { agents: 3, configured: 3, sampled: 3, redisConnected: 3, shortOfMemory: 0 };
const rollout = { desired: 3, ready: 3, updated: 3, available: 3, isCurrent: true };
const well: Observation = {
  isPaused: false,
  rollout,
  fleet,
  overlap: { nodes: 0, others: [] },
  nodeSelector: 'the label topology.kubernetes.io/region=us-east',
};

const found = (observation: Partial<Observation>, type: string) => {
  const finding = findingsOf({ ...well, ...observation }).find((f) => f.type === type);
  return `${finding?.status} ${finding?.reason}: ${finding?.message}`;
};

test.each<[string, Partial<Observation>, string]>([
  ['all well', {}, 'True AgentsReady: All 3 agents are ready.'],
  ['one node', { rollout: { ...rollout, desired: 1, ready: 1 } }, 'True AgentsReady: The agent is ready.'],
  ['one agent down', { rollout: { ...rollout, ready: 2 } }, 'False AgentsNotReady: 2 of 3 agents ready.'],
  ['no DaemonSet', { rollout: undefined }, 'False Creating: The agents are being made.'],
  [
    'no node',
    { rollout: { ...rollout, desired: 0, ready: 0 } },
    'False NoMatchingNodes: No node has the label topology.kubernetes.io/region=us-east. Label the nodes so, or set spec.nodeSelector.',
  ],
  ['a bad spec', { problem: { reason: 'Invalid', message: 'spec.x: bad' } }, 'False Invalid: spec.x: bad'],
  [
    'no Redis',
    { fleet: { ...fleet, redisConnected: 0 } },
    'False RedisUnreachable: No agent asked is connected to Redis; check spec.redis and its password.',
  ],
  [
    'Redis away for one',
    { fleet: { ...fleet, redisConnected: 2 } },
    'True AgentsReady: All 3 agents are ready.',
  ],
  [
    'agents that give no statistics',
    { fleet: { ...fleet, sampled: 0, redisConnected: 0 } },
    'True AgentsReady: All 3 agents are ready.',
  ],
])('Ready, with %s', (_what, observation, text) => {
  expect(found(observation, 'Ready')).toBe(text);
});

test.each<[string, Partial<Observation>, string]>([
  ['all well', {}, 'True Complete: Every agent runs the newest template and configuration.'],
  [
    'an old template',
    { rollout: { ...rollout, updated: 1 } },
    'False PodsUpdating: 1 of 3 agents run the newest template.',
  ],
  [
    'counts of an older template',
    { rollout: { ...rollout, isCurrent: false } },
    'False WaitingForDaemonSet: The DaemonSet’s controller has not yet seen the newest template.',
  ],
  [
    'pods that start',
    { rollout: { ...rollout, available: 2 } },
    'False PodsStarting: 2 of 3 agents available.',
  ],
  [
    'an agent out of reach',
    { fleet: { ...fleet, configured: 2, failure: "the agent on node 'n': timeout" } },
    "False ConfigSpreading: 2 of 3 agents have confirmed the newest configuration. Last problem: the agent on node 'n': timeout",
  ],
])('RolloutComplete, with %s', (_what, observation, text) => {
  expect(found(observation, 'RolloutComplete')).toBe(text);
});

test('NodeOverlap names at most five others', () => {
  const others = ['a/1', 'a/2', 'a/3', 'a/4', 'a/5', 'a/6', 'a/7'];
  expect(found({ overlap: { nodes: 1, others } }, 'NodeOverlap')).toBe(
    "True SharedNodes: One node is selected by 'a/1', 'a/2', 'a/3', 'a/4', 'a/5' and 2 more as well.",
  );
});

test('MemoryPressure says how many keep less, and where most is missing', () => {
  const short = { ...fleet, shortOfMemory: 2, shortestNode: 'worker-3' };
  expect(found({}, 'MemoryPressure')).toBe(
    'False EnoughMemory: Every agent asked may keep what is configured.',
  );
  expect(found({ fleet: short }, 'MemoryPressure')).toBe(
    "True MemoryShort: 2 of 3 agents asked keep less in memory than configured, least on node 'worker-3', because memory runs short: raise spec.resources.limits.memory, or lower spec.l1.",
  );
  expect(found({ fleet: short }, 'Ready')).toBe('True AgentsReady: All 3 agents are ready.');
  const at = '2026-01-01T00:00:00.000Z';
  const before = toConditions(findingsOf({ ...well, fleet: short }), [], 1, at);
  const after = toConditions(findingsOf(well), before, 1, at);
  const told = (a: typeof after, b: typeof after) =>
    conditionEvents(a, b).map((event) => `${event.type} ${event.reason}`);
  expect(told(before, after)).toEqual(['Warning MemoryPressure']);
  expect(told(after, before)).toEqual(['Normal MemoryPressureEnded']);
});

test('a condition keeps the time of its last transition while its status stays', () => {
  const first = toConditions(findingsOf(well), [], 1, '2026-01-01T00:00:00.000Z');
  const again = toConditions(
    findingsOf({ ...well, rollout: { ...rollout, ready: 2 } }),
    first,
    2,
    '2026-01-02T00:00:00.000Z',
  );
  expect(again.find((c) => c.type === 'Ready')?.lastTransitionTime).toBe('2026-01-02T00:00:00.000Z');
  expect(again.find((c) => c.type === 'ConfigAccepted')?.lastTransitionTime).toBe('2026-01-01T00:00:00.000Z');
});

test('what a person would want to know becomes an event, once', () => {
  const at = '2026-01-01T00:00:00.000Z';
  const before = toConditions(findingsOf({ ...well, isPaused: true }), [], 1, at);
  const after = toConditions(findingsOf({ ...well, rollout: { ...rollout, ready: 2 } }), before, 1, at);
  expect(conditionEvents(after, before).map((event) => `${event.type} ${event.reason}`)).toEqual([
    'Warning AgentsNotReady',
    'Normal Resumed',
  ]);
  expect(conditionEvents(after, after)).toEqual([]);
});

test('statistics are written at a bounded rate, and only when they have changed', () => {
  const stats = { l1HitPercent: 80, hitPercent: 95, propagationP99Ms: 3, redisMemoryUsedMb: 10 };
  const start = Date.parse('2026-01-01T00:00:00.000Z');
  const input = (object: ReturnType<typeof aTier>, hitPercent: number, afterMs: number) => ({
    object,
    tier: contextOf(aTier()).tier,
    configHash: 'h',
    observation: { ...well, fleet: { ...fleet, stats: { ...stats, hitPercent } } },
    now: new Date(start + afterMs),
  });
  const first = statusOf(input(aTier(), 95, 0));
  expect(first).toMatchObject({ hitPercent: 95, sampledAgents: 3, statsTime: '2026-01-01T00:00:00.000Z' });
  const object = { ...aTier(), status: first };
  expect(statusOf(input(object, 96, 10_000))).toEqual(first);
  expect(statusOf(input(object, 95, STATS_STATUS_INTERVAL_MS))).toEqual(first);
  expect(statusOf(input(object, 96, STATS_STATUS_INTERVAL_MS))).toMatchObject({ hitPercent: 96 });
});

const tls = { secretName: 'edgecache-east-serving', now: Date.parse('2026-11-26T12:00:00Z') };
const endsAt = (text: string) => ({ tls, fleet: { ...fleet, certificateEndsAt: Date.parse(text) } });

test.each<[string, Partial<Observation>, string]>([
  ['nothing shown yet', { tls }, 'Unknown NotShown: No agent asked has shown a certificate yet.'],
  [
    'a good one',
    endsAt('2027-01-01T00:00:00Z'),
    "True Valid: The certificate of Secret 'edgecache-east-serving' as an agent shows it is valid until 2027-01-01T00:00:00.000Z.",
  ],
  [
    'one that ends this week',
    endsAt('2026-12-01T00:00:00Z'),
    "True EndsSoon: The certificate of Secret 'edgecache-east-serving' as an agent shows it ends at 2026-12-01T00:00:00.000Z, and was not renewed in time.",
  ],
  [
    'one that has ended',
    endsAt('2026-11-26T12:00:00Z'),
    "False Expired: The certificate of Secret 'edgecache-east-serving' as an agent shows it ended at 2026-11-26T12:00:00.000Z: clients refuse it. Renew it.",
  ],
])('CertificateValid, with %s', (_what, observation, text) => {
  expect(found(observation, 'CertificateValid')).toBe(text);
});

test('certificates are not spoken of where the tier wants no TLS', () => {
  expect(findingsOf(well).map((finding) => finding.type)).not.toContain('CertificateValid');
});

test('agents that are not ready may wait for a Secret, which is said', () => {
  expect(found({ tls, rollout: { ...rollout, ready: 2 } }, 'Ready')).toBe(
    "False AgentsNotReady: 2 of 3 agents ready. New ones wait for Secret 'edgecache-east-serving' where it is missing.",
  );
});
