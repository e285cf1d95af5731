import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { ExplainOptions } from '../../client/options.ts';
import { freePort, until } from '../../hack/local/children.ts';
import { RedisServer } from '../../hack/local/redis-server.ts';
import { type Fault, FaultProxy } from '../chaos/proxy.ts';
import { standalone, startAgent, type TestAgent } from '../support/cache.ts';
import { failureOf, METHODS, RawClient } from '../support/raw-client.ts';

const NAMESPACES = [
  { name: 'a', ttlSeconds: 60, critical: true },
  { name: 'b', ttlSeconds: 60 },
];

let redis: RedisServer;
let here: TestAgent;
let there: TestAgent;

beforeAll(async () => {
  redis = await RedisServer.start();
  const file = { cacheId: 'explained', redis: standalone(redis.port), namespaces: NAMESPACES };
  here = await startAgent({ file: { ...file, nodeId: 'here' } });
  there = await startAgent({ file: { ...file, nodeId: 'there' } });
});
afterAll(async () => {
  await here?.stop();
  await there?.stop();
  await redis?.stop();
});

const explain = (agent: TestAgent, key: string, options: ExplainOptions = {}, namespace = 'a') =>
  agent.client.explain(namespace, key, { logEvents: 1_000, ...options });

describe('an explanation of a key', () => {
  it('says what memory and Redis hold, how it came there and for how long, but not the value', async () => {
    const { version } = await here.client.put('a', 'held', { secret: 'xyzzy' }, { tags: ['t:1'] });
    await there.client.get('a', 'held');
    const own = await explain(here, 'held', { wantAgents: true });
    expect(own).toMatchObject({
      nodeId: 'here',
      agentId: here.agent.id,
      queued: false,
      redisError: '',
      rules: { critical: true, eventDriven: true, ttlMs: 60_000 },
      memory: { version, origin: 'own', tags: ['t:1'], bytes: 18, absent: false, unansweredBecause: '' },
      freshness: { current: true, maxStalenessMs: 1_000, pending: 0, settlingMs: 0 },
      redis: { head: version, agents: 2, invalidated: false, lease: undefined, markers: [] },
    });
    expect(own.redis?.stored).toMatchObject({ version, flags: 0, tags: ['t:1'] });
    expect(own.redis?.agentIds).toEqual([here.agent.id, there.agent.id].sort());
    for (const left of [own.memory?.freshMs, own.memory?.leftMs, own.redis?.stored?.ttlMs])
      expect(left).toBeGreaterThan(0);
    expect(own.freshness?.leaseMs).toBeGreaterThan(0);
    expect((await explain(there, 'held')).memory).toMatchObject({ version, origin: 'redis' });
    expect(JSON.stringify(own)).not.toContain('xyzzy');
  });

  it('uses and changes nothing: neither counts as a lookup, nor makes a partition', async () => {
    const before = await here.client.stats();
    await explain(here, 'unheard', {}, 'b');
    const after = await here.client.stats();
    expect([after.l1?.misses, after.l2?.misses]).toEqual([before.l1?.misses, before.l2?.misses]);
    const { memory, redis: side, log } = await explain(here, 'unheard', {}, 'b');
    expect([memory, side?.stored, side?.lease]).toEqual([undefined, undefined, undefined]);
    expect(log?.events).toEqual([]);
  });

  it('says what invalidated it last: which event, by what, why, from where, when', async () => {
    await here.client.put('b', 'gone', 1, { tags: ['t:2'] });
    const byTag = await there.client.invalidate('b', { tags: ['t:2'], reason: 'sold' });
    const { log, redis: side } = await explain(here, 'gone', {}, 'b');
    expect(log).toMatchObject({ writes: 1, invalidations: 1, complete: true });
    expect(log?.events[0]).toMatchObject({
      eventId: byTag.eventId,
      effect: 'tag',
      tag: 't:2',
      reason: 'sold',
      sourceNode: 'there',
      eventType: 'manual_invalidation',
    });
    expect(log?.events[1]).toMatchObject({ effect: 'put', sourceNode: 'here' });
    expect(side).toMatchObject({ invalidated: true });
    expect(side?.markers).toEqual([expect.objectContaining({ tag: 't:2', newer: true })]);
    expect(log?.events[0]?.loggedAtUs).toBeLessThanOrEqual(side?.clockUs ?? 0);
  });

  it('tells an invalidation by key, by namespace, and by a tag of which nobody knows whether the entry had it', async () => {
    await here.client.put('b', 'k', 1, { tags: ['mine'] });
    await here.client.invalidate('b', { keys: ['k'] });
    const { log, partition } = await explain(here, 'k', {}, 'b');
    expect(log?.events[0]).toMatchObject({ effect: 'key' });
    await here.client.invalidate('b', { tags: ['mine'] });
    await here.client.invalidate('b', {});
    const effects = async (options: ExplainOptions = {}) =>
      (await explain(there, 'k', options, 'b')).log?.events.slice(0, 3).map(({ effect }) => effect);
    expect(await effects()).toEqual(['namespace', 'maybe_tag', 'key']);
    expect(await effects({ tags: ['mine'] })).toEqual(['namespace', 'tag', 'key']);
    expect(await effects({ tags: ['other'] })).toEqual(['namespace', 'key', 'put']);
    expect((await explain(there, 'k', {}, 'b')).partition).toBe(partition);
  });

  it('reads the log page by page, and stops where it is told to', async () => {
    for (let i = 0; i < 450; i++) await here.client.put('b', 'often', i);
    const all = (await explain(here, 'often', {}, 'b')).log;
    expect(all).toMatchObject({ writes: 450, complete: true });
    expect(all?.events.length).toBe(10);
    const some = (await explain(here, 'often', { logEvents: 250 }, 'b')).log;
    expect(some).toMatchObject({ writes: 250, scanned: 250, complete: false });
    expect((await explain(here, 'often', { logEvents: 0 }, 'b')).log).toBeUndefined();
  }, 120_000);

  it('tells that somebody is loading, and never the token', async () => {
    const raw = new RawClient(here.address);
    onTestFinished(() => raw.close());
    const asked = { namespace: 'b', key: 'loading', minToken: '', wantLease: true };
    const { leaseToken } = await raw.call(METHODS.get, asked);
    const said = await explain(there, 'loading', {}, 'b');
    expect(said.redis?.lease).toMatchObject({ refresh: false });
    expect(said.redis?.lease?.leftMs).toBeGreaterThan(0);
    expect(JSON.stringify(said)).not.toContain(leaseToken);
  });

  it('refuses what it cannot mean, naming it', async () => {
    const raw = new RawClient(here.address);
    onTestFinished(() => raw.close());
    const ask = (more: object) =>
      failureOf(
        raw.call(METHODS.explain, {
          namespace: 'a',
          key: 'k',
          logEvents: 0,
          tags: [],
          wantAgents: false,
          ...more,
        }),
      );
    expect((await ask({ namespace: 'nowhere' })).reason).toBe('EC_UNKNOWN_NAMESPACE');
    expect((await ask({ key: '' })).message).toContain('key');
    expect((await ask({ logEvents: 20_001 })).message).toContain('log_events');
  });
});

it('where Redis is away says so, and what memory holds and why it does not answer', async () => {
  const faults = new Map<string, Fault>();
  const proxy = await FaultProxy.start(await freePort(), redis.port, faults);
  onTestFinished(() => proxy.close());
  const agent = await startAgent({
    file: { cacheId: 'explained', redis: standalone(proxy.port), namespaces: NAMESPACES, nodeId: 'cut-off' },
  });
  onTestFinished(() => agent.stop());
  const { version } = await agent.client.put('a', 'cut', 1);
  for (const kind of ['events', 'commands']) faults.set(`${kind}:cut-off`, { blackhole: true });
  await until('its lease is over', async () => {
    const { freshness } = await explain(agent, 'cut');
    return freshness?.leaseMs === 0;
  });
  const said = await explain(agent, 'cut');
  expect(said.redis).toBeUndefined();
  expect(said.redisError).toContain('Redis is out of reach');
  expect(said.memory).toMatchObject({ version, unansweredBecause: 'unproven' });
  await agent.client.invalidate('a', { keys: ['cut'] });
  expect((await explain(agent, 'cut')).queued).toBe(true);
});
