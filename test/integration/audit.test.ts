import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { AUDIT_WINDOWS_MS, Audit, type AuditViolation } from '../../agent/audit/audit.ts';
import { L2, L2_DEFAULTS } from '../../agent/l2/l2.ts';
import { CommandConnections } from '../../agent/redis/connections.ts';
import { resolveAgentConfig } from '../../api/agent-config.ts';
import { type Namespace, resolveNamespace } from '../../api/namespace.ts';
import { EdgeCacheClient } from '../../client/edge-cache-client.ts';
import { freePort, until } from '../../hack/local/children.ts';
import { LocalAgent } from '../../hack/local/local-agent.ts';
import { RedisServer } from '../../hack/local/redis-server.ts';
import { type Fault, FaultProxy } from '../chaos/proxy.ts';
import { standalone, startAgent, type TestAgent } from '../support/cache.ts';

const BROKEN = fileURLToPath(new URL('../chaos/broken/agent.ts', import.meta.url));
const BOUND_MS = 150;
const CRITICAL = resolveNamespace({ name: 'a', ttlSeconds: 60, critical: true }, 30);

let redis: RedisServer;
let writer: TestAgent;

beforeAll(async () => {
  redis = await RedisServer.start();
  const namespaces = [{ name: 'a', ttlSeconds: 60, critical: true }];
  writer = await startAgent({ file: { cacheId: 'audited', redis: standalone(redis.port), namespaces } });
});
afterAll(async () => {
  await writer.stop();
  await redis.stop();
});

/** An audit that looks at every answer, over an L2 of its own. */
async function anAudit(): Promise<{
  audit: Audit;
  found: AuditViolation[];
  partition: (key: string) => number;
}> {
  const config = resolveAgentConfig({ cacheId: 'audited', redis: standalone(redis.port) }, {});
  const connections = new CommandConnections(config, pino({ level: 'silent' }));
  onTestFinished(() => connections.close());
  const l2 = new L2(connections.next, {
    ...L2_DEFAULTS,
    cacheId: 'audited',
    partitions: config.partitions,
    fillLeaseMs: config.fillLeaseMs,
  });
  await until('Redis answers', () => connections.connected);
  const found: AuditViolation[] = [];
  const audit = new Audit({
    l2,
    random: () => 0,
    now: () => performance.now(),
    maxStalenessMs: () => BOUND_MS,
    violated: (violation) => found.push(violation),
  });
  return { audit, found, partition: (key) => l2.partitionOf('a', key) };
}

async function versionOf(key: string, value: number): Promise<string> {
  return (await writer.client.put('a', key, value)).version;
}

const passed = (ms: number) => {
  const end = performance.now() + ms;
  return until('time has passed', () => performance.now() >= end);
};

describe('the audit', () => {
  it('finds an answer that had been replaced longer than the bound allows', async () => {
    const { audit, found, partition } = await anAudit();
    const old = await versionOf('stale', 1);
    const current = await versionOf('stale', 2);
    await passed(2 * BOUND_MS);
    audit.sample(CRITICAL, 'stale', old, partition('stale'));
    await until('it is found', () => found.length > 0);
    const [windowMs] = AUDIT_WINDOWS_MS;
    expect(found).toEqual([{ namespace: 'a', key: 'stale', version: old, replacedBy: current, windowMs }]);
    expect(audit.violationCount).toBe(1);
  });

  it('says nothing of an answer that was replaced within the bound, or after it was given', async () => {
    const { audit, found, partition } = await anAudit();
    const first = await versionOf('young', 1);
    audit.sample(CRITICAL, 'young', first, partition('young'));
    await versionOf('young', 2);
    audit.sample(CRITICAL, 'young', first, partition('young'));
    await until('both are looked at', () => audit.reads === 2);
    expect(found).toEqual([]);
  });

  it('looks three times at an answer that stands, and at none of a namespace that is not critical', async () => {
    const { audit, found, partition } = await anAudit();
    const bulk: Namespace = { ...CRITICAL, critical: false };
    const version = await versionOf('stands', 1);
    audit.sample(bulk, 'stands', version, partition('stands'));
    audit.sample(CRITICAL, 'stands', version, partition('stands'));
    await until('it is looked at three times', () => audit.reads === 3, { timeoutMs: 15_000 });
    expect(found).toEqual([]);
  });
});

describe('agents that lose their events', () => {
  /** An agent that hears nothing, asked until it has sampled its answers; what its audit then says. */
  async function deafAgent(main: string | undefined, env: Record<string, string>) {
    const faults = new Map<string, Fault>();
    const port = await freePort();
    const proxy = await FaultProxy.start(port, redis.port, faults);
    onTestFinished(() => proxy.close());
    const file = {
      cacheId: 'deaf',
      redis: standalone(port),
      maxStalenessMs: 200,
      namespaces: [{ name: 'a', ttlSeconds: 60, critical: true }],
    };
    const agent = await LocalAgent.start({ nodeId: 'deaf', file, env, ...(main && { main }) });
    onTestFinished(() => agent.stop('SIGKILL'));
    const client = new EdgeCacheClient({ addresses: [agent.address], deadlineMs: 5_000 });
    onTestFinished(() => client.close());
    const other = await startAgent({ file: { ...file, redis: standalone(redis.port) } });
    onTestFinished(() => other.stop());
    await other.client.put('a', 'k', 'old');
    await until('it is held', async () => {
      const held = await client.get('a', 'k');
      return held.status === 'hit' && held.source === 'l1';
    });
    faults.set('events:deaf', { blackhole: true });
    await other.client.put('a', 'k', 'new');
    return { client };
  }

  it('do not answer from memory, so that the audit has nothing to find', async () => {
    const { client } = await deafAgent(undefined, {});
    await until('the old value is gone', async () => {
      const seen = await client.get('a', 'k');
      return seen.status === 'hit' && seen.value === 'new';
    });
    for (let i = 0; i < 2_000; i++) expect(await client.get('a', 'k')).toMatchObject({ value: 'new' });
    expect((await client.stats()).audit?.violations).toBe(0);
  });

  it('say so themselves where the lease is taken from them', async () => {
    const { client } = await deafAgent(BROKEN, { CHAOS_BREAK: 'noLease' });
    await until(
      'the audit raises the alarm',
      async () => {
        for (let i = 0; i < 200; i++) await client.get('a', 'k');
        return ((await client.stats()).audit?.violations ?? 0) > 0;
      },
      { timeoutMs: 40_000 },
    );
    expect(await client.get('a', 'k')).toMatchObject({ value: 'old', source: 'l1' });
  });
});
