import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { bytes } from '../../client/codec.ts';
import { until } from '../../hack/local/children.ts';
import { RedisServer } from '../../hack/local/redis-server.ts';
import { standalone, startAgent, type TestAgent } from '../support/cache.ts';

/** What was measured of the software that this one replaces; each was a way to answer wrongly in silence. */
describe('mistakes of the predecessor', () => {
  let redis: RedisServer;
  let writer: TestAgent;
  let reader: TestAgent;

  const namespaces = [
    { name: 'gpu' },
    { name: 'gpu_avail', critical: true, ttlSeconds: 30, invalidatedBy: ['gpu_availability_changed'] },
    { name: 'other' },
  ];

  beforeAll(async () => {
    redis = await RedisServer.start();
    const file = { redis: standalone(redis.port), namespaces };
    writer = await startAgent({ file: { ...file, nodeId: 'writer' } });
    reader = await startAgent({ file: { ...file, nodeId: 'reader' } });
  });

  afterAll(async () => {
    await writer?.stop();
    await reader?.stop();
    await redis?.stop();
  });

  beforeEach(async () => {
    for (const { name } of namespaces) await writer.client.invalidate(name, {}, { confirm: true });
  });

  /** Puts an entry and has the reader hold it in L1. */
  async function held(namespace: string, key: string, value: unknown, tags: string[] = []) {
    const { token } = await writer.client.put(namespace, key, value, { tags });
    await reader.client.get(namespace, key, { token });
    await until('the reader answers from L1', async () => {
      const found = await reader.client.get(namespace, key);
      return found.status === 'hit' && found.source === 'l1';
    });
  }

  it('applies every event that is published, by the type that a namespace lists', async () => {
    for (let i = 0; i < 300; i++) await writer.client.put('gpu_avail', `g${i}`, i, { tags: [`gpu:${i}`] });
    await reader.client.getMany(
      'gpu_avail',
      Array.from({ length: 300 }, (_, i) => `g${i}`),
    );
    const before = await reader.client.stats();
    for (let i = 0; i < 300; i++) {
      const event = { type: 'gpu_availability_changed', resourceId: `${i}`, tags: [`gpu:${i}`] };
      await writer.client.publish(event, { confirm: i === 299 });
    }
    const after = await reader.client.stats();
    const found = await reader.client.getMany(
      'gpu_avail',
      Array.from({ length: 300 }, (_, i) => `g${i}`),
    );
    expect(found.filter(({ status }) => status === 'hit')).toEqual([]);
    // A tag can be in any of the 16 partitions, so each event is received in each.
    expect((after.events?.processed ?? 0) - (before.events?.processed ?? 0)).toBe(300 * 16);
    expect(after.status).toBe('healthy');
  });

  it('keeps in L2 what was written: receivers touch their own memory only', async () => {
    for (let i = 0; i < 200; i++) await writer.client.put('gpu_avail', `g${i}`, i, { confirm: i === 199 });
    const keys = await redis.admin.keys('ec:{*}:e:gpu_avail:*');
    expect(keys.length).toBe(200);
  });

  it('drops a stale entry although the event link broke just before the change', async () => {
    for (let round = 0; round < 20; round++) {
      await held('gpu_avail', 'g1', `old ${round}`);
      await redis.admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
      await writer.client.put('gpu_avail', 'g1', `new ${round}`);
      await until('the new value is answered', async () => {
        const found = await reader.client.get('gpu_avail', 'g1');
        return found.status === 'hit' && found.value === `new ${round}`;
      });
    }
  });

  it('refuses a fill that was in flight during an invalidation by key, by tag or of the whole namespace', async () => {
    const scopes = [{ keys: ['late'] }, { tags: ['t'] }, {}];
    for (const scope of scopes) {
      const value = await reader.client.getOrLoad(
        'gpu_avail',
        'late',
        async () => {
          await writer.client.invalidate('gpu_avail', scope, { confirm: true });
          return Buffer.from('old');
        },
        { codec: bytes, tags: ['t'] },
      );
      // The caller gets what its own load gave; nobody else ever does.
      expect(value?.toString()).toBe('old');
      for (const { client } of [writer, reader])
        expect((await client.get('gpu_avail', 'late')).status).toBe('miss');
    }
  });

  it('never reports a miss for lack of connections', async () => {
    const keys = Array.from({ length: 500 }, (_, i) => `c${i}`);
    await Promise.all(keys.map((key) => writer.client.put('other', key, key)));
    for (let round = 0; round < 5; round++) {
      const found = await Promise.all(keys.map((key) => reader.client.get('other', key)));
      expect(found.every(({ status }) => status === 'hit')).toBe(true);
    }
    expect((await reader.client.stats()).l2?.errors).toBe(0);
  });

  it('invalidates a namespace without looking at the keys of Redis', async () => {
    const pipeline = redis.admin.pipeline();
    for (let i = 0; i < 20_000; i++) pipeline.set(`unrelated:${i}`, 'x');
    await pipeline.exec();
    await redis.admin.config('RESETSTAT');
    await writer.client.invalidate('other', {}, { confirm: true });
    const stats = await redis.admin.info('commandstats');
    expect(stats).toContain('cmdstat_evalsha');
    expect(stats).not.toMatch(/cmdstat_(scan|keys)/);
    // 16 partitions, each with one script of constant size: far from one command for each of 20,000 keys.
    const calls = [...stats.matchAll(/calls=(\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0);
    expect(calls).toBeLessThan(2_000);
  });

  it('gives an entry from L2 the life that is left to it, not a new one', async () => {
    await writer.client.put('gpu', 'short', 1, { ttlMs: 1_500 });
    const first = await reader.client.get('gpu', 'short');
    expect(first.status === 'hit' && first.ttlMs).toBeLessThanOrEqual(1_500);
    await until('the entry ends everywhere', async () => {
      const found = await Promise.all([writer, reader].map(({ client }) => client.get('gpu', 'short')));
      return found.every(({ status }) => status === 'miss');
    });
  });

  it('hands out copies: a caller that changes a value changes nobody else’s', async () => {
    await held('gpu', 'copy', { list: [1, 2] });
    const first = await reader.client.get('gpu', 'copy');
    if (first.status !== 'hit') throw new Error('expected a hit');
    Object.assign(Object(first.value), { list: [] });
    const second = await reader.client.get('gpu', 'copy');
    expect(second).toMatchObject({ status: 'hit', source: 'l1', value: { list: [1, 2] } });
  });

  it('does not take empty lists, zeros, false and empty texts for misses', async () => {
    for (const value of [[], 0, false, '', null, {}]) {
      await writer.client.put('gpu', 'empty', value, { confirm: true });
      for (let i = 0; i < 2; i++) {
        expect(await reader.client.get('gpu', 'empty')).toMatchObject({ status: 'hit', value });
      }
    }
  });

  it('leaves a namespace alone whose name begins with that of another', async () => {
    await held('gpu_avail', 'k', 'kept');
    await held('gpu', 'avail:k', 'gone');
    await writer.client.invalidate('gpu', {}, { confirm: true });
    expect(await reader.client.get('gpu_avail', 'k')).toMatchObject({
      status: 'hit',
      value: 'kept',
      source: 'l1',
    });
    expect((await reader.client.get('gpu', 'avail:k')).status).toBe('miss');
  });
});

describe('three servers with cluster mode on and no slots', () => {
  it('are not called a cluster: the agent is not ready and says why', async () => {
    const servers = await Promise.all(
      [1, 2, 3].map(() => RedisServer.start({ args: ['--cluster-enabled', 'yes'] })),
    );
    const nodes = servers.map(({ address }) => address);
    const one = await startAgent({ file: { redis: { mode: 'cluster', nodes } }, waitReady: false });
    try {
      const response = await until('an answer', () => one.http('/readyz'));
      expect(response.status).toBe(503);
      expect(await response.text()).toMatch(/not ready: /);
      expect((await one.client.get('gpu_avail', 'k')).status).toBe('degraded');
    } finally {
      await one.stop();
      await Promise.all(servers.map((server) => server.stop()));
    }
  });
});
