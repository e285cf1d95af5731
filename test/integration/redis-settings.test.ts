import { afterAll, beforeAll, expect, it } from 'vitest';
import { until } from '../../hack/local/children.ts';
import { RedisServer } from '../../hack/local/redis-server.ts';
import { standalone, startAgent, type TestAgent } from '../support/cache.ts';

let redis: RedisServer;
let tested: TestAgent;

beforeAll(async () => {
  redis = await RedisServer.start({ args: ['--maxmemory', '100mb', '--maxmemory-policy', 'allkeys-lru'] });
  const namespaces = [{ name: 'a', l2MemoryLimit: '1M' }, { name: 'b' }];
  const file = { redis: standalone(redis.port), namespaces, healthCheckIntervalSeconds: 1 };
  tested = await startAgent({ file });
});

afterAll(async () => {
  await tested?.stop();
  await redis?.stop();
});

const problems = async () => (await tested.client.stats()).redis?.problems ?? [];
const metrics = async () => (await tested.http('/metrics')).text();

it('says loudly that Redis may evict what promises rest on, works on, and takes it back when it is mended', async () => {
  await until('the agent says so', async () => (await problems()).length === 1);
  expect((await problems())[0]).toContain(`127.0.0.1:${redis.port}: maxmemory-policy is allkeys-lru`);
  expect((await problems())[0]).toContain('set maxmemory-policy to noeviction');
  expect(await metrics()).toContain('edgecache_redis_problems{severity="error"} 1');
  expect(await (await tested.http('/statusz')).text()).toContain('allkeys-lru');
  expect((await tested.http('/readyz')).status).toBe(200);
  await redis.admin.config('SET', 'maxmemory-policy', 'noeviction');
  await until('all is well', async () => (await problems()).length === 0);
  expect(await metrics()).toContain('edgecache_redis_problems{severity="error"} 0');
});

it('tells what namespaces take in Redis, and keeps them within their limits', async () => {
  const value = 'v'.repeat(4_000);
  for (let i = 0; i < 60; i++) {
    await Promise.all(Array.from({ length: 20 }, (_, j) => tested.client.put('a', `k${i}-${j}`, value)));
  }
  await tested.client.put('b', 'k', value);
  await until('b is told', async () => (await namespaceStats('b')).l2Entries === 1);
  const a = await namespaceStats('a');
  expect(a.l2LimitBytes).toBe(1_000_000);
  expect(a.l2Bytes).toBeLessThanOrEqual(1_000_000);
  expect(a.l2Bytes).toBeGreaterThan(700_000);
  expect(a.l2Evictions).toBe(1_200 - a.l2Entries);
  expect(await metrics()).toContain(`edgecache_l2_evictions_total{cache_namespace="a"} ${a.l2Evictions}`);
});

async function namespaceStats(name: string) {
  const found = (await tested.client.stats()).namespaces.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no namespace ${name}`);
  return found;
}
