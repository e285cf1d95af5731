import { Registry } from 'prom-client';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { EdgeCacheClient } from '../../client/edge-cache-client.ts';
import { ClientMetrics } from '../../client/metrics.ts';
import { until } from '../../hack/local/children.ts';
import { RedisServer } from '../../hack/local/redis-server.ts';
import { standalone, startAgent, type TestAgent } from '../support/cache.ts';
import { scraped } from '../support/metrics.ts';

let redis: RedisServer;
let tested: TestAgent;

beforeAll(async () => {
  redis = await RedisServer.start({ args: ['--maxmemory', '100mb'] });
  const namespaces = [{ name: 'a', critical: true }, { name: 'b' }];
  const file = { redis: standalone(redis.port), namespaces, healthCheckIntervalSeconds: 1 };
  // Each lookup is a call of its own.
  tested = await startAgent({ file, client: { lookups: { stream: false } } });
});

afterAll(async () => {
  await tested?.stop();
  await redis?.stop();
});

const metric = async (line: string) => (await scraped(tested)).get(line);
const lookups = (namespace: string, answer: string) =>
  metric(`edgecache_lookups_total{cache_namespace="${namespace}",answer="${answer}"}`);

it('count lookups by namespace and by what answered', async () => {
  const { client, agent } = tested;
  await client.put('a', 'k', 1, { confirm: true });
  await client.get('a', 'k');
  await client.get('a', 'k');
  await client.get('a', 'never');
  expect(await lookups('a', 'l1')).toBe(2);
  expect(await lookups('a', 'miss')).toBe(1);
  expect(await lookups('a', 'l2')).toBe(0);
  // Told, or not told of yet: nobody has asked for it.
  expect((await lookups('b', 'l1')) ?? 0).toBe(0);
  // Another agent has to ask Redis first.
  const other = await startAgent({ file: { redis: standalone(redis.port), namespaces: [{ name: 'a' }] } });
  await other.client.get('a', 'k');
  const line = 'edgecache_lookups_total{cache_namespace="a",answer="l2"}';
  expect((await scraped(other)).get(line)).toBe(1);
  await other.stop();
  expect(agent.ready).toBe(true);
});

it('say how long calls took, by method and outcome', async () => {
  await expect(tested.client.get('nowhere', 'k')).rejects.toThrow('nowhere');
  expect(await metric('edgecache_call_duration_seconds_count{method="Get",code="OK"}')).toBe(3);
  expect(await metric('edgecache_call_duration_seconds_count{method="Get",code="NOT_FOUND"}')).toBe(1);
  expect(await metric('edgecache_call_duration_seconds_bucket{le="+Inf",method="Put",code="OK"}')).toBe(1);
});

it('say what memory Redis has', async () => {
  const server = `{server="127.0.0.1:${redis.port}"}`;
  await until(
    'Redis has been asked',
    async () => (await metric(`edgecache_redis_memory_max_bytes${server}`)) === 100 * 1024 ** 2,
  );
  expect(await metric(`edgecache_redis_memory_used_bytes${server}`)).toBeGreaterThan(100_000);
});

it('tell of leases that are lost and changes that wait while Redis hangs, and that both are over', async () => {
  expect(await metric('edgecache_partitions_without_lease')).toBe(0);
  expect(await metric('edgecache_leases_lost_total')).toBe(0);
  redis.signal('SIGSTOP');
  try {
    await until('no lease stands', async () => (await metric('edgecache_partitions_without_lease')) === 16);
    await until('it was counted', async () => (await metric('edgecache_leases_lost_total')) === 16);
    expect((await tested.client.get('a', 'k')).status).toBe('degraded');
    expect(await lookups('a', 'degraded')).toBe(1);
    expect((await tested.client.put('b', 'queued', 1)).state).toBe('queued');
    await until(
      'its age is told',
      async () => ((await metric('edgecache_outbox_oldest_age_seconds')) ?? 0) > 0.1,
    );
  } finally {
    redis.signal('SIGCONT');
  }
  await until('all leases stand', async () => (await metric('edgecache_partitions_without_lease')) === 0);
  await until('nothing waits', async () => (await metric('edgecache_outbox_oldest_age_seconds')) === 0);
});

it('tell of event connections that ended', async () => {
  const before = (await metric('edgecache_event_subscriptions_lost_total')) ?? 0;
  await redis.admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
  const lost = async () => (await metric('edgecache_event_subscriptions_lost_total')) ?? 0;
  await until('it is counted', async () => (await lost()) > before);
  await until('it is made anew', async () => (await metric('edgecache_partitions_subscribed')) === 16);
});

it('of a client tell of its calls, its loaders and its near cache', async () => {
  const registry = new Registry();
  const metrics = new ClientMetrics(registry);
  const client = new EdgeCacheClient({
    addresses: [tested.address],
    on: metrics.hooks,
    near: { namespaces: { b: {} } },
  });
  onTestFinished(() => client.close());
  metrics.observe(client);
  await client.getOrLoad('b', 'loaded', async () => 1);
  await until('the near cache answers', async () => {
    const found = await client.get('b', 'loaded');
    return found.status === 'hit' && found.source === 'near';
  });
  const text = await registry.metrics();
  expect(text).toContain('edgecache_client_loads_total{cache_namespace="b",reason="miss"} 1\n');
  expect(text).toMatch(/edgecache_client_call_duration_seconds_count\{method="\w+"\} [1-9]/);
  expect(text).toMatch(/edgecache_client_near_hits_total [1-9]/);
  expect(text).toMatch(/edgecache_client_near_entries 1\n/);
  expect(text).toMatch(/edgecache_client_near_lease_seconds 0\.\d+/);
});

it('come as OpenMetrics to who asks for it', async () => {
  const response = await tested.http('/metrics', {
    headers: { accept: 'application/openmetrics-text;version=1.0.0' },
  });
  expect(response.headers.get('content-type')).toContain('application/openmetrics-text');
  const text = await response.text();
  expect(text).toContain('# TYPE edgecache_lookups counter\n');
  expect(text.endsWith('# EOF\n')).toBe(true);
});
