import { expect, it, onTestFinished } from 'vitest';
import { until } from '../../hack/local/children.ts';
import { RedisServer } from '../../hack/local/redis-server.ts';
import { standalone, startAgent } from '../support/cache.ts';

it('entries live longer where they are hot and do not change, shorter where they change all the time', async () => {
  const redis = await RedisServer.start();
  onTestFinished(() => redis.stop());
  const { client, http, stop } = await startAgent({
    file: {
      redis: standalone(redis.port),
      namespaces: [
        { name: 'a', ttlSeconds: 2, l1TtlSeconds: 1, adaptiveTtl: { minSeconds: 1, maxSeconds: 60 } },
        { name: 'b', ttlSeconds: 2, l1TtlSeconds: 1 },
      ],
    },
  });
  onTestFinished(stop);
  const ttlOf = async (namespace: string, key: string) => {
    const [name] = await redis.admin.keys(`*:e:${namespace}:${key}`);
    return name === undefined ? -2 : redis.admin.pttl(name);
  };
  const loaded = { a: 0, b: 0 };
  const read = (namespace: 'a' | 'b') =>
    client.getOrLoad(namespace, 'stable', async () => {
      loaded[namespace] += 1;
      return loaded[namespace];
    });
  await until(
    'it was given a longer life',
    async () => {
      await Promise.all([read('a'), read('b')]);
      return (await ttlOf('a', 'stable')) > 2_500;
    },
    { timeoutMs: 20_000, everyMs: 20 },
  );
  expect(loaded.b).toBeGreaterThanOrEqual(loaded.a);
  expect(await ttlOf('b', 'stable')).toBeLessThanOrEqual(2_000);
  for (let i = 0; i < 10; i++) {
    await Promise.all([client.put('a', 'moving', i), client.put('b', 'moving', i)]);
  }
  // Where several puts come faster than their events, the first that follows them knows.
  await until('its life is as short as may be', async () => {
    await client.put('a', 'moving', 0);
    return (await ttlOf('a', 'moving')) <= 1_000;
  });
  expect(await ttlOf('b', 'moving')).toBeGreaterThan(1_000);
  const own = await client.put('a', 'moving', 1, { ttlMs: 30_000 });
  expect(own.state).toBe('applied');
  expect(await ttlOf('a', 'moving')).toBeGreaterThan(20_000);
  const { namespaces } = await client.stats();
  const [a, b] = ['a', 'b'].map((name) => namespaces.find((one) => one.name === name)?.adaptiveTtl);
  expect(a?.longer).toBeGreaterThanOrEqual(1);
  expect(a?.shorter).toBeGreaterThanOrEqual(1);
  expect(b).toBeUndefined();
  expect(await (await http('/metrics')).text()).toMatch(
    /edgecache_adaptive_ttl_entries_total\{cache_namespace="a",ttl="longer"\} [1-9]/,
  );
});
