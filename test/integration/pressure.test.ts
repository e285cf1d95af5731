import { expect, it, onTestFinished } from 'vitest';
import { bytes } from '../../client/codec.ts';
import { EdgeCacheClient } from '../../client/edge-cache-client.ts';
import { until } from '../../hack/local/children.ts';
import { LocalAgent } from '../../hack/local/local-agent.ts';
import { RedisServer } from '../../hack/local/redis-server.ts';
import { standalone, startAgent } from '../support/cache.ts';

const NAMESPACE = 'historical';

it('an agent whose memory runs short keeps less, says so, and goes on answering', async () => {
  const redis = await RedisServer.start();
  onTestFinished(() => redis.stop());
  let usedBytes = 100;
  const { client, http, stop, agent } = await startAgent({
    file: { redis: standalone(redis.port), l1: { maxEntries: 400 } },
    memory: () => [{ name: 'cgroup', usedBytes, limitBytes: 1_000 }],
  });
  onTestFinished(stop);
  for (let i = 0; i < 400; i++) await client.put(NAMESPACE, `k${i}`, i);
  expect((await client.stats()).l1).toMatchObject({ entries: 400, maxEntries: 400, sizeShare: 1 });
  usedBytes = 900;
  const { l1 } = await until(
    'it has shrunk',
    async () => {
      const stats = await client.stats();
      return (stats.l1?.sizeShare ?? 1) < 1 ? stats : undefined;
    },
    { timeoutMs: 5_000, everyMs: 20 },
  );
  expect(l1).toMatchObject({ entries: 300, maxEntries: 300, sizeShare: 0.75 });
  usedBytes = 800;
  for (let i = 0; i < 400; i++)
    expect(await client.get(NAMESPACE, `k${i}`)).toMatchObject({ status: 'hit', value: i });
  expect((await client.stats()).l1).toMatchObject({ entries: 300, maxEntries: 300 });
  const metrics = await (await http('/metrics')).text();
  expect(metrics).toContain('edgecache_l1_size_ratio 0.75');
  expect(metrics).toContain('edgecache_memory_pressure_steps_total 1');
  expect(metrics).toContain('edgecache_memory_used_ratio{of="cgroup"} 0.8');
  expect(agent.ready).toBe(true);
});

it('a real process with little heap is not ended by a flood of small entries', async () => {
  const redis = await RedisServer.start();
  onTestFinished(() => redis.stop());
  const agent = await LocalAgent.start({
    nodeId: 'small',
    // About 60 MB are its own code and constants; what it may hold by its limits would not fit.
    env: { NODE_OPTIONS: '--max-old-space-size=96' },
    file: {
      redis: standalone(redis.port),
      l1: { maxEntries: 400_000, maxBytes: '4Gi' },
      namespaces: [{ name: NAMESPACE, memoryLimit: '4Gi', ttlSeconds: 3_600, l1TtlSeconds: 3_600 }],
    },
  });
  onTestFinished(() => agent.stop());
  const client = new EdgeCacheClient({
    addresses: [agent.address],
    deadlineMs: 10_000,
    connectTimeoutMs: 2_000,
  });
  onTestFinished(() => client.close());
  const { pid } = agent;
  const tags = Array.from({ length: 32 }, (_, i) => `tag-${i}`);
  let written = 0;
  const flood = async () => {
    for (; written < 60_000; written++) {
      const key = `${written}-${'x'.repeat(200)}`;
      await client.put(NAMESPACE, key, Buffer.from('v'), { codec: bytes, tags });
      if (written % 500 === 0 && ((await client.stats()).l1?.sizeShare ?? 1) < 1) break;
    }
  };
  await Promise.all(Array.from({ length: 16 }, flood));
  const { l1 } = await client.stats();
  expect(l1?.sizeShare).toBeLessThan(1);
  expect(agent.pid).toBe(pid);
  expect(agent.logTail(200)).toContain('memory pressure: L1 resized');
});
