import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { runCli } from '../../cli/testing/run-cli.ts';
import { freePort, until } from '../../hack/local/children.ts';
import { RedisServer } from '../../hack/local/redis-server.ts';
import { type Fault, FaultProxy } from '../chaos/proxy.ts';
import { standalone, startAgent, type TestAgent } from '../support/cache.ts';

/** Long, so that an agent is behind within it for as long as a test looks. */
const BOUND_MS = 10_000;
const FILE = { cacheId: 'traced', namespaces: [{ name: 'a', ttlSeconds: 60, critical: true }] };

let redis: RedisServer;
let here: TestAgent;

beforeAll(async () => {
  redis = await RedisServer.start();
  const file = { ...FILE, redis: standalone(redis.port), nodeId: 'here', maxStalenessMs: BOUND_MS };
  here = await startAgent({ file });
});
afterAll(async () => {
  await here?.stop();
  await redis?.stop();
});

/** Another agent of the same cache, whose connections can be disturbed. */
async function anotherAgent(nodeId: string, maxStalenessMs = BOUND_MS) {
  const faults = new Map<string, Fault>();
  const proxy = await FaultProxy.start(await freePort(), redis.port, faults);
  onTestFinished(() => proxy.close());
  const file = { ...FILE, redis: standalone(proxy.port), nodeId, maxStalenessMs };
  const agent = await startAgent({ file });
  onTestFinished(() => agent.stop());
  const disturb = (kind: 'events' | 'commands', fault: Fault) => faults.set(`${kind}:${nodeId}`, fault);
  return { agent, disturb };
}

const trace = (key: string, agents: readonly TestAgent[], ...more: string[]) =>
  runCli(['doctor', 'a', key, '--address', agents.map(({ address }) => address).join(','), ...more]);

/** What a trace says as JSON: agents, then caches. */
async function traced(key: string, ...agents: TestAgent[]) {
  const { code, out } = await trace(key, agents, '--json');
  const lines = out.trim().split('\n');
  return { code, said: lines.map((line): Record<string, unknown> => Object(JSON.parse(line))) };
}

it('says that all agree, who holds which version since when, and what changed it last', async () => {
  const { agent: there } = await anotherAgent('there');
  const { version } = await here.client.put('a', 'k', 1, { event: { type: 'gpu_listed', resourceId: 'k' } });
  await there.client.get('a', 'k');
  const { code, out } = await trace('k', [here, there]);
  expect(code).toBe(0);
  expect(out).toMatch(new RegExp(`${here.address}\\s+${version}\\s+\\S+\\s+own write`));
  expect(out).toMatch(new RegExp(`${there.address}\\s+${version}\\s+\\S+\\s+read`));
  expect(out).toContain(`Redis: version ${version}`);
  expect(out).toMatch(/put\s+gpu_listed k\s+-\s+here/);
  expect(out).toContain('verdict: all agree');
  const { eventId } = await there.client.invalidate('a', { keys: ['k'], reason: 'sold' });
  await until('it is gone', async () => (await here.client.explain('a', 'k')).memory === undefined);
  const after = await trace('k', [here, there]);
  expect(after.out).toMatch(new RegExp(`key\\s+manual_invalidation\\s+sold\\s+there\\s+${eventId}`));
  expect(after.out).toContain('verdict: no agent holds it: each asks Redis');
});

it('says of an agent whose events are late how far it is behind, and that this is within the bound', async () => {
  const { agent: late, disturb } = await anotherAgent('late');
  await here.client.put('a', 'late', 1);
  await late.client.get('a', 'late');
  disturb('events', { delayMs: 60_000 });
  await here.client.put('a', 'late', 2);
  await here.client.put('a', 'late', 3);
  const { code, said } = await traced('late', here, late);
  expect(code).toBe(0);
  expect(said[0]).toMatchObject({ verdict: { kind: 'current' } });
  expect(said[1]).toMatchObject({ verdict: { kind: 'behind', behind: 2 } });
  expect(said[2]).toMatchObject({ kind: 'cache', verdict: 'behind', unasked: [] });
});

it('calls stale what was changed in Redis past the agents, and fails', async () => {
  const { agent: short } = await anotherAgent('short', 200);
  await short.client.put('a', 'edited', 1);
  const keys = await redis.admin.keys('ec:*:e:a:edited');
  const [name = ''] = keys;
  const raw = (await redis.admin.get(name)) ?? '';
  const next = `${Number(raw.split('-')[0]) + 1}-0`;
  await redis.admin.set(name, raw.replace(/^\S+/, next), 'KEEPTTL');
  await until('it is beyond the bound', async () => (await trace('edited', [short])).code === 1);
  const { out } = await trace('edited', [short]);
  expect(out).toMatch(/STALE: behind by 1, for \d+ ms, beyond the bound of 200 ms/);
  expect(out).toMatch(/verdict: STALE/);
});

it('cannot tell while Redis is away, then says that memory does not answer', async () => {
  const { agent: cut, disturb } = await anotherAgent('cut');
  await cut.client.put('a', 'cut', 1);
  disturb('events', { blackhole: true });
  disturb('commands', { blackhole: true });
  const { said } = await traced('cut', cut);
  expect(said[0]).toMatchObject({ verdict: { kind: 'unknown' } });
  const short = await anotherAgent('short-cut', 300);
  await short.agent.client.put('a', 'cut', 2);
  short.disturb('events', { blackhole: true });
  short.disturb('commands', { blackhole: true });
  await until('its lease is over', async () => {
    const [first] = (await traced('cut', short.agent)).said;
    return Object(first?.['verdict']).kind === 'silent';
  });
});

it('tells caches apart: agents with a Redis of their own are judged by it', async () => {
  const other = await RedisServer.start();
  onTestFinished(() => other.stop());
  const apart = await startAgent({ file: { ...FILE, redis: standalone(other.port), nodeId: 'apart' } });
  onTestFinished(() => apart.stop());
  await here.client.put('a', 'two', 1);
  await apart.client.put('a', 'two', 2);
  const { code, said } = await traced('two', here, apart);
  expect(code).toBe(0);
  expect(said.filter(({ kind }) => kind === 'cache')).toMatchObject([
    { verdict: 'current' },
    { verdict: 'current' },
  ]);
  expect((await trace('two', [here, apart])).out).toContain(`cache 2: ${apart.address}`);
});
