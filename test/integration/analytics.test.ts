import { expect, it, onTestFinished } from 'vitest';
import { until } from '../../hack/local/children.ts';
import { RedisServer } from '../../hack/local/redis-server.ts';
import { standalone, startAgent } from '../support/cache.ts';

it('an agent says what is hot, what is large, why memory did not answer and what changes cost', async () => {
  const redis = await RedisServer.start();
  onTestFinished(() => redis.stop());
  const file = {
    redis: standalone(redis.port),
    l1: { maxEntries: 100 },
    namespaces: [
      { name: 'a', ttlSeconds: 60, invalidatedBy: ['price_moved'] },
      { name: 'short', ttlSeconds: 60, l1TtlSeconds: 1 },
    ],
  };
  const { client, http, stop } = await startAgent({ file });
  onTestFinished(stop);
  const other = await startAgent({ file: { ...file, nodeId: 'other' } });
  onTestFinished(other.stop);
  await client.put('a', 'large', 'x'.repeat(50_000));
  await client.put('short', 'k', 1);
  for (let i = 0; i < 50; i++) await client.put('a', `k${i}`, i);
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 50; i++) {
      await client.get('a', 'k7');
      await client.get('a', `k${i}`);
    }
  }
  await client.get('a', 'never');
  await other.client.publish({ type: 'price_moved', keys: ['k1', 'k2'] });
  const causes = async () => {
    const { namespaces } = await client.stats();
    return namespaces.flatMap(({ name, l1Misses }) =>
      l1Misses.map(({ cause, count }) => `${name} ${cause} ${count}`),
    );
  };
  await until('the event is applied', async () => (await client.get('a', 'k2')).status === 'miss');
  await until('its time in memory is over', async () => {
    const found = await client.get('short', 'k');
    return found.status === 'hit' && found.source === 'l2';
  });
  expect(await causes()).toEqual(expect.arrayContaining(['a cold 1', 'a invalidated 1', 'short expired 1']));
  const { analytics, namespaces } = await client.stats({ top: 3 });
  expect(analytics?.hottest[0]).toMatchObject({ namespace: 'a', key: 'k7' });
  expect(analytics?.largest[0]).toMatchObject({ namespace: 'a', key: 'large' });
  expect(analytics?.largest).toHaveLength(3);
  // Each key is in another partition, which each have the event.
  expect(analytics?.churn).toContainEqual({ eventType: 'price_moved', events: 2, dropped: 2 });
  expect(analytics?.whatIf.map(({ factor }) => factor)).toEqual([0.5, 1, 2, 4]);
  expect((await client.stats()).analytics?.hottest).toEqual([]);
  expect(namespaces.map(({ name }) => name)).toEqual(['a', 'short']);
  const metrics = await (await http('/metrics')).text();
  expect(metrics).toContain('edgecache_l1_misses_by_cause_total{cache_namespace="short",cause="expired"} 1');
  expect(metrics).toContain('edgecache_l1_invalidations_by_type_total{event_type="price_moved"} 2');
  expect(metrics).toMatch(/edgecache_l1_what_if_hit_ratio\{size="2"\} 0\.\d+/);
});
