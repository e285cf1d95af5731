import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import type { MemoryUse } from '../../agent/memory/memory-sources.ts';
import { runCli } from '../../cli/testing/run-cli.ts';
import { freePort, until } from '../../hack/local/children.ts';
import { RedisServer } from '../../hack/local/redis-server.ts';
import { type Fault, FaultProxy } from '../chaos/proxy.ts';
import { standalone, startAgent, type TestAgent, type TestAgentOptions } from '../support/cache.ts';

const NAMESPACES = [{ name: 'a', ttlSeconds: 60, critical: true }, { name: 'b' }];

let redis: RedisServer;
beforeAll(async () => {
  redis = await RedisServer.start({ args: ['--maxmemory', '200mb', '--maxmemory-policy', 'noeviction'] });
});
afterAll(() => redis.stop());

/**
 * An agent behind a proxy that can disturb it.
 * @param slow what its commands suffer from the start
 */
async function anAgent(nodeId: string, options: Partial<TestAgentOptions> = {}, slow: Fault = {}) {
  const faults = new Map<string, Fault>([[`commands:${nodeId}`, slow]]);
  const proxy = await FaultProxy.start(await freePort(), redis.port, faults);
  onTestFinished(() => proxy.close());
  const file = {
    cacheId: 'examined',
    redis: standalone(proxy.port),
    namespaces: NAMESPACES,
    nodeId,
    healthCheckIntervalSeconds: 1,
    ...options.file,
  };
  const agent = await startAgent({ ...options, file });
  onTestFinished(() => agent.stop());
  const disturb = (kind: 'events' | 'commands', fault: Fault) => faults.set(`${kind}:${nodeId}`, fault);
  return { agent, disturb };
}

const doctor = (...agents: TestAgent[]) =>
  runCli(['doctor', '--address', agents.map(({ address }) => address).join(',')]);

/** What the doctor says, once it finds something that matches. */
async function finding(what: RegExp, ...agents: TestAgent[]) {
  return until(`the doctor finds ${what}`, async () => {
    const said = await doctor(...agents);
    return what.test(said.out) ? said : undefined;
  });
}

it('finds nothing on agents that are well, and shows the figures that it looked at', async () => {
  // A bound that also a busy machine keeps; Redis' shortest answer is soon short enough there.
  const { agent } = await anAgent('well', { file: { maxStalenessMs: 10_000 } });
  await finding(/Redis uses \d/, agent);
  const { code, out } = await finding(/(nothing found[\s\S]*){3}/, agent);
  expect(code).toBe(0);
  expect(out).toMatch(/16 of 16 leases hold; 0 of \d+ audited answers were too old/);
  expect(out).toMatch(/the fullest agent uses [\d.]+ % of its memory; Redis uses \d+\.\d % of its maxmemory/);
  expect(out).toMatch(/Redis answers in \d+\.\d ms/);
});

it('stale data: finds leases that are lost when events do not come any more', async () => {
  const { agent, disturb } = await anAgent('deaf', { file: { maxStalenessMs: 300 } });
  disturb('events', { delayMs: 60_000 });
  const { code, out } = await finding(/\d+ of 16 partitions have no lease now/, agent);
  expect(code).toBe(1);
  expect(out).toMatch(/stale data: .*\n.*\n(.*\n)*? {2}error on .*partitions have no lease now/);
  expect(out).toMatch(/cause: {2}Redis or the event connection takes longer than maxStalenessMs/);
});

it('stale data: finds changes that wait while Redis is away, and says that it is', async () => {
  const { agent, disturb } = await anAgent('cut-off');
  for (const kind of ['events', 'commands'] as const) disturb(kind, { blackhole: true });
  expect((await agent.client.invalidate('a', { keys: ['k'] })).state).toBe('queued');
  const { out } = await finding(/\d+ changes? were accepted and not yet sent, the oldest for \d/, agent);
  expect(out).toMatch(/remedy: bring Redis back/);
});

it('stale data: finds a node whose clock is wrong', async () => {
  const ahead = () => performance.timeOrigin + performance.now() + 90_000;
  const { agent } = await anAgent('ahead', { wallClock: ahead });
  const { code, out } = await finding(/the node’s clock is 1m\d+s ahead of that of Redis/, agent);
  expect(out).toContain('one of the two is not kept by NTP');
  expect(code).toBe(0);
});

it('high memory: finds an eviction policy under which events are lost, and says it once for all agents', async () => {
  const file = { redis: standalone(redis.port) };
  const [one, two] = [await anAgent('one', { file }), await anAgent('two', { file })];
  await redis.admin.config('SET', 'maxmemory-policy', 'allkeys-lru');
  onTestFinished(async () => {
    await redis.admin.config('SET', 'maxmemory-policy', 'noeviction');
  });
  const { code, out } = await finding(
    /error on [\d.:]+, [\d.:]+: .*maxmemory-policy is allkeys-lru/,
    one.agent,
    two.agent,
  );
  expect(code).toBe(1);
  expect(out).toContain('set maxmemory-policy to noeviction');
});

it('high memory: warns of limits that add up to more than Redis has, where nothing is evicted for it', async () => {
  const { agent } = await anAgent('wide', { file: { namespaces: [{ name: 'a', l2MemoryLimit: '1G' }] } });
  const { out } = await finding(/warning on .*: the l2MemoryLimit of all namespaces is/, agent);
  expect(out).toContain('lower l2MemoryLimit, or raise maxmemory');
  expect(out).not.toContain('evict');
});

it('high memory: finds a Redis that is nearly full, and names the namespaces that fill it', async () => {
  const { agent } = await anAgent('filling');
  for (let i = 0; i < 20; i++) await agent.client.put('b', `large${i}`, 'x'.repeat(100_000));
  const used = Number(/used_memory:(\d+)/.exec(await redis.admin.info('memory'))?.[1]);
  await redis.admin.config('SET', 'maxmemory', String(Math.round(used * 1.1)));
  onTestFinished(async () => {
    await redis.admin.config('SET', 'maxmemory', '200mb');
  });
  const { out } = await finding(/Redis uses [89]\d\.\d % of its maxmemory.*; largest: b/, agent);
  expect(out).toMatch(/remedy: lower ttlSeconds of the largest namespaces/);
});

it('high memory: finds an agent whose container is nearly full', async () => {
  const memory = (): MemoryUse[] => [{ name: 'cgroup', usedBytes: 930, limitBytes: 1_000 }];
  const { agent } = await anAgent('full', { memory });
  const { out } = await finding(/warning on .*: its container uses 93\.0 % of 1\.0k bytes/, agent);
  expect(out).toContain('raise spec.resources.limits.memory');
});

it('slow lookups: finds a Redis that is far away', async () => {
  const { agent } = await anAgent('far', {}, { delayMs: 60 });
  const { code, out } = await finding(/the fastest answer of Redis in the last half minute took \d/, agent);
  expect(code).toBe(1);
  expect(out).toMatch(/cause: {2}Redis is far away/);
});

it('slow lookups: finds the agent whose memory answers less than that of others, and why', async () => {
  const file = { nodeId: 'small', l1: { maxEntries: 10 } };
  const [small, large] = [await anAgent('small', { file }), await anAgent('large')];
  const keys = Array.from({ length: 100 }, (_, i) => `k${i}`);
  for (const key of keys) await large.agent.client.put('b', key, 1);
  for (let round = 0; round < 15; round++)
    for (const { agent } of [small, large]) await agent.client.getMany('b', keys);
  const { code, out } = await finding(
    /is usual for the 1 other agents of its tier and region/,
    small.agent,
    large.agent,
  );
  expect(code).toBe(1);
  expect(out).toMatch(
    new RegExp(`error on ${small.agent.address}: [\\d.]+ % of 1500 lookups were answered from memory`),
  );
  expect(out).toMatch(/10 of 10 entries, \d+ evicted/);
  expect(out).toContain('raise l1.maxEntries in the tier');
});

it('an agent that refuses to say how it is is no agent that is down; who may read can trace a key', async () => {
  const token = 'reader-token-of-16-or-more';
  const security = {
    auth: { required: true },
    accessRules: [{ identities: ['token:reader'], namespaces: ['a'], allow: ['read' as const] }],
  };
  const file = { nodeId: 'guarded', security };
  const { agent } = await anAgent('guarded', { file, env: { CACHE_AUTH_TOKEN: `reader=${token}` } });
  const env = { EDGECACHE_ADDRESS: agent.address, EDGECACHE_TOKEN: token };
  const health = await runCli(['health'], { env });
  expect([health.code, health.out]).toEqual([1, expect.stringMatching(/refused/)]);
  const { out } = await runCli(['doctor'], { env });
  expect(out).toContain('cause:  statistics need the right admin on the agent');
  expect(out).toContain('stale data: cannot tell');
  const traced = await runCli(['doctor', 'a', 'k'], { env });
  expect([traced.code, traced.out]).toEqual([0, expect.stringContaining('verdict: no agent holds it')]);
  const other = await runCli(['doctor', 'b', 'k'], { env });
  expect([other.code, other.err]).toEqual([1, expect.stringContaining('may not read')]);
});
