import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { defineScripts } from '../../agent/l2/scripts.ts';
import { HotSet } from '../../agent/warmup/hot-set.ts';
import type { AgentFile } from '../../api/agent-config.ts';
import { until } from '../../hack/local/children.ts';
import { RedisServer } from '../../hack/local/redis-server.ts';
import { standalone, startAgent, type TestAgent } from '../support/cache.ts';

const NAMESPACE = 'a';
const KEYS = 100;

let redis: RedisServer;

beforeAll(async () => {
  redis = await RedisServer.start();
  defineScripts(redis.admin);
});
afterAll(() => redis?.stop());

const hotKey = (key: string, perSecond: number) => ({ namespace: NAMESPACE, key, perSecond });

describe('the hot keys of a region, in Redis', () => {
  const aSet = () => {
    const cacheId = randomUUID();
    return { set: new HotSet(() => redis.admin, cacheId, 'us-east'), name: `ec:{${cacheId}}:hot:us-east` };
  };

  it('are what all agents were asked for, the most first', async () => {
    const { set } = aSet();
    await set.report([hotKey('x', 5), hotKey('y:z', 4)], 10);
    await set.report([hotKey('y:z', 4), hotKey('w', 1)], 10);
    const read = await set.read(2, 'hot');
    expect(read).toEqual([
      { namespace: NAMESPACE, key: 'y:z' },
      { namespace: NAMESPACE, key: 'x' },
    ]);
    expect(await set.read(2, 'none')).toEqual([]);
  });

  it('are bounded, however many are reported, and end by themselves', async () => {
    const { set, name } = aSet();
    for (let report = 0; report < 24; report++)
      await set.report(
        Array.from({ length: 512 }, (_, i) => hotKey(`k${report}-${i}`, 1 + report)),
        10,
      );
    expect(await redis.admin.zcard(name)).toBe(5_000);
    expect((await set.read(1, 'hot'))[0]?.key).toMatch(/^k23-/);
    for (const key of await redis.admin.keys(`${name}*`)) {
      expect(await redis.admin.ttl(key)).toBeGreaterThan(600_000);
      if ((await redis.admin.type(key)) === 'zset')
        expect(await redis.admin.zcard(key)).toBeLessThanOrEqual(key === name ? 5_000 : 1_024);
    }
  });

  it('fade: half of the past counts after half an hour', async () => {
    const { set, name } = aSet();
    await set.report([hotKey('old', 10)], 10);
    const at = Number(await redis.admin.hget(`${name}:at`, 'late'));
    await redis.admin.hset(`${name}:at`, 'late', at - 1_800);
    await set.report([hotKey('new', 7)], 10);
    expect(await set.read(2, 'hot')).toMatchObject([{ key: 'new' }, { key: 'old' }]);
    expect(Number(await redis.admin.zscore(name, `${NAMESPACE}:old`))).toBeCloseTo(50, 0);
  });

  it('are predicted from what the same hour of the day asked for before', async () => {
    const { set, name } = aSet();
    await set.report([hotKey('always', 5)], 10);
    const [seconds] = await redis.admin.time();
    const hour = Math.floor(Number(seconds) / 3_600) % 24;
    for (const near of [hour, (hour + 1) % 24])
      await redis.admin.zadd(`${name}:${near}`, 900, `${NAMESPACE}:rush-hour`);
    await redis.admin.zadd(`${name}:${(hour + 12) % 24}`, 9_000, `${NAMESPACE}:other-half`);
    expect((await set.read(5, 'hot')).map(({ key }) => key)).toEqual(['always']);
    expect((await set.read(5, 'predictive')).map(({ key }) => key).sort()).toEqual(['always', 'rush-hour']);
    // Yesterday's counts for half.
    const [day] = [Math.floor(Number(seconds) / 86_400)];
    await redis.admin.hset(`${name}:at`, `hour${hour}`, day - 1);
    await set.report([hotKey('always', 0.001)], 1);
    expect(Number(await redis.admin.zscore(`${name}:${hour}`, `${NAMESPACE}:rush-hour`))).toBeCloseTo(450, 0);
  });
});

describe('an agent', () => {
  const files = (): AgentFile => ({
    redis: standalone(redis.port),
    cacheId: randomUUID(),
    partitions: 4,
    region: 'us-east',
    namespaces: [{ name: NAMESPACE, ttlSeconds: 600, l1TtlSeconds: 600, critical: true }],
  });
  const start = async (file: AgentFile): Promise<TestAgent> => {
    const started = await startAgent({ file });
    onTestFinished(started.stop);
    return started;
  };
  const inUse = async (file: AgentFile) => {
    const { client, stop } = await startAgent({ file });
    for (let i = 0; i < KEYS; i++) await client.put(NAMESPACE, `k${i}`, i);
    for (let round = 0; round < 60; round++)
      await client.getMany(
        NAMESPACE,
        Array.from({ length: KEYS }, (_, i) => `k${i}`),
      );
    await stop();
  };
  const preloaded = async ({ client }: TestAgent) => (await client.stats()).l1?.preloaded ?? 0;

  it('that starts has what its region asks for, before it is asked', async () => {
    const file = files();
    await inUse(file);
    const agent = await start(file);
    await until('it has preloaded', async () => (await preloaded(agent)) > KEYS / 2);
    await until(
      'it is done',
      async () => (await agent.client.stats()).l1?.entries === (await preloaded(agent)),
    );
    const stats = await agent.client.stats();
    expect(stats.l1).toMatchObject({ hits: 0, misses: 0 });
    const found = await agent.client.getMany(
      NAMESPACE,
      Array.from({ length: KEYS }, (_, i) => `k${i}`),
    );
    const inMemory = [...found.values()].filter((one) => one.status === 'hit' && one.source === 'l1');
    expect(inMemory.length).toBeGreaterThan(KEYS / 2);
    expect(await (await agent.http('/metrics')).text()).toMatch(/edgecache_preloaded_entries_total [1-9]/);
  });

  it('drops what it preloaded like any other entry when it changes', async () => {
    const file = files();
    await inUse(file);
    const agent = await start(file);
    const other = await start(file);
    await until('it has preloaded', async () => (await preloaded(agent)) > KEYS / 2);
    for (let i = 0; i < KEYS; i++) {
      await other.client.put(NAMESPACE, `k${i}`, KEYS + i, { confirm: true });
      expect(await agent.client.get(NAMESPACE, `k${i}`)).toMatchObject({ status: 'hit', value: KEYS + i });
    }
  });

  it('that lost events preloads the partition that it dropped', async () => {
    const file = files();
    await inUse(file);
    const agent = await start(file);
    await until('it has preloaded', async () => (await preloaded(agent)) > KEYS / 2);
    const before = await preloaded(agent);
    const resets = async () => (await agent.client.stats()).events?.partitionResets ?? 0;
    const at = await resets();
    // A log that began anew, as after a failover to a replica that had nothing.
    await redis.admin.del(`ec:{${file.cacheId}:1}:meta`, `ec:{${file.cacheId}:1}:log`);
    await until('it noticed', async () => (await resets()) > at);
    await until('it has preloaded again', async () => (await preloaded(agent)) > before);
  });

  it('preloads nothing where that is off, nor what another region asks for', async () => {
    const file = files();
    await inUse(file);
    const off = await start({ ...file, l1: { preload: 'none' } });
    const elsewhere = await start({ ...file, region: 'eu-west' });
    const warm = await start(file);
    await until('the one that may has preloaded', async () => (await preloaded(warm)) > KEYS / 2);
    expect(await preloaded(off)).toBe(0);
    expect(await preloaded(elsewhere)).toBe(0);
  });
});
