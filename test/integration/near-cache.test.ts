import { describe, expect, it, onTestFinished } from 'vitest';
import { anyJson } from '../../client/codec.ts';
import { EdgeCacheClient, type EdgeCacheClientOptions } from '../../client/edge-cache-client.ts';
import { until } from '../../hack/local/children.ts';
import { LocalAgent } from '../../hack/local/local-agent.ts';
import { RedisServer } from '../../hack/local/redis-server.ts';
import { standalone, startAgent, type TestAgentOptions } from '../support/cache.ts';
import { NearProcess } from '../support/near-process.ts';

async function redisServer() {
  const redis = await RedisServer.start();
  onTestFinished(() => redis.stop());
  return redis;
}

async function agent(options: TestAgentOptions) {
  const one = await startAgent(options);
  onTestFinished(() => one.stop());
  return one;
}

function nearClient(addresses: string[], options: Partial<EdgeCacheClientOptions> = {}) {
  const client = new EdgeCacheClient({
    addresses,
    deadlineMs: 5_000,
    connectTimeoutMs: 2_000,
    near: { namespaces: { gpu_avail: {}, market_stats: {} }, renewMs: 50 },
    ...options,
  });
  onTestFinished(() => client.close());
  return client;
}

/** Reads until the near cache answers. */
async function held(client: EdgeCacheClient, key: string, namespace = 'gpu_avail'): Promise<unknown> {
  return until(`${key} is held`, async () => {
    const found = await client.get(namespace, key);
    return found.status === 'hit' && found.source === 'near' ? found : undefined;
  });
}

describe('a near cache', () => {
  it('answers a critical namespace from the process, until another node changes it', async () => {
    const redis = await redisServer();
    const [a, b] = [
      await agent({ file: { redis: standalone(redis.port) } }),
      await agent({ file: { redis: standalone(redis.port) } }),
    ];
    const client = nearClient([a.address]);
    await b.client.put('gpu_avail', 'k', { n: 1 }, { tags: ['t'] });
    await held(client, 'k');
    const hits = client.nearStats?.hits ?? 0;
    for (let i = 0; i < 100; i++)
      expect(await client.get('gpu_avail', 'k')).toMatchObject({ value: { n: 1 } });
    expect(client.nearStats?.hits).toBe(hits + 100);
    for (const change of [
      () => b.client.put('gpu_avail', 'k', { n: 2 }, { tags: ['t'], confirm: true }),
      () => b.client.invalidate('gpu_avail', { tags: ['t'] }, { confirm: true }),
      () => b.client.put('gpu_avail', 'k', { n: 3 }, { confirm: true }),
      () => b.client.invalidate('gpu_avail', {}, { confirm: true }),
      () => b.client.put('gpu_avail', 'k', { n: 4 }, { confirm: true }),
      () =>
        b.client.publish(
          { type: 'booking_created', namespaces: ['gpu_avail'], keys: ['k'] },
          { confirm: true },
        ),
    ]) {
      const before = await client.get('gpu_avail', 'k');
      const { confirmation } = await change();
      expect(confirmation?.agentsFenced).toBe(0);
      // At once, and without a token: that is what was confirmed.
      const after = await client.get('gpu_avail', 'k');
      expect(after).not.toEqual(before);
      await b.client.getOrLoad('gpu_avail', 'k', async () => 'again', { codec: anyJson, tags: ['t'] });
      await held(client, 'k');
    }
  });

  it('has nothing old after a confirmed change, under load, in many processes’ worth of clients', async () => {
    const redis = await redisServer();
    const agents = [
      await agent({ file: { redis: standalone(redis.port) } }),
      await agent({ file: { redis: standalone(redis.port) } }),
    ];
    const clients = agents.flatMap(({ address }) => [nearClient([address]), nearClient([address])]);
    const writer = agents[0]?.client;
    if (writer === undefined) throw new Error('two agents');
    let confirmed = 0;
    let wrong = 0;
    let reads = 0;
    let stop = false;
    await writer.put('gpu_avail', 'k', 0);
    const readers = clients.map(async (client) => {
      while (!stop) {
        const atLeast = confirmed;
        const found = await client.getOrLoad('gpu_avail', 'k', async () => confirmed, { codec: anyJson });
        reads += 1;
        if (Number(found) < atLeast) wrong += 1;
        // Hits are microtasks: the rest of the world needs its turn.
        if (reads % 16 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
    });
    for (let i = 1; i <= 300; i++) {
      await writer.put('gpu_avail', 'k', i, { confirm: true });
      confirmed = i;
    }
    stop = true;
    await Promise.all(readers);
    expect(wrong).toBe(0);
    expect(reads).toBeGreaterThan(1_000);
    expect(clients.reduce((sum, { nearStats }) => sum + (nearStats?.hits ?? 0), 0)).toBeGreaterThan(300);
  });

  it('sees its own writes at once, whatever is under way', async () => {
    const redis = await redisServer();
    const one = await agent({ file: { redis: standalone(redis.port) } });
    const client = nearClient([one.address]);
    for (let i = 0; i < 200; i++) {
      void client.get('gpu_avail', 'k');
      await client.put('gpu_avail', 'k', i);
      void client.get('gpu_avail', 'k');
      expect(await client.get('gpu_avail', 'k')).toMatchObject({ status: 'hit', value: i });
    }
    await client.invalidate('gpu_avail', { keys: ['k'] });
    expect((await client.get('gpu_avail', 'k')).status).toBe('miss');
  });

  it('starts over when its agent does, and answers nothing meanwhile from what it held', async () => {
    const redis = await redisServer();
    const file = { redis: standalone(redis.port) };
    const other = await agent({ file });
    const process = await LocalAgent.start({ nodeId: 'n', file, restart: true });
    onTestFinished(() => process.stop('SIGKILL'));
    const client = nearClient([process.address]);
    await other.client.put('gpu_avail', 'k', 'before');
    await held(client, 'k');
    const resets = client.nearStats?.resets ?? 0;
    process.signal('SIGKILL');
    await until('the near cache knows', () => client.nearStats?.leaseMs === 0);
    expect(client.nearStats).toMatchObject({ entries: 0 });
    await other.client.put('gpu_avail', 'k', 'after', { confirm: true });
    await process.ready();
    await until('it is followed again', () => (client.nearStats?.leaseMs ?? 0) > 0, { timeoutMs: 20_000 });
    expect(await client.get('gpu_avail', 'k')).toMatchObject({ value: 'after' });
    await held(client, 'k');
    expect(client.nearStats?.resets).toBeGreaterThan(resets);
  });

  it('loses its lease when its agent loses Redis, and then asks', async () => {
    const redis = await redisServer();
    const one = await agent({ file: { redis: standalone(redis.port), maxStalenessMs: 500 } });
    const client = nearClient([one.address]);
    await one.client.put('gpu_avail', 'k', 1);
    await held(client, 'k');
    await redis.stop();
    await until('the lease ends', () => client.nearStats?.leaseMs === 0, { timeoutMs: 2_000 });
    expect((await client.get('gpu_avail', 'k')).status).toBe('degraded');
  });

  it('that was closed in order is not waited for', async () => {
    const redis = await redisServer();
    const one = await agent({ file: { redis: standalone(redis.port), maxStalenessMs: 10_000 } });
    const client = nearClient([one.address]);
    await one.client.put('gpu_avail', 'k', 1);
    await held(client, 'k');
    await until('a confirmation is quick', async () => {
      const { confirmation } = await one.client.put('gpu_avail', 'k', 'old', { confirm: true });
      return confirmation !== undefined && confirmation.elapsedMs < 500;
    });
    await held(client, 'k');
    client.close();
    const { confirmation } = await one.client.put('gpu_avail', 'k', 2, { confirm: true });
    // Waited for, it would be the whole lease.
    expect(confirmation?.elapsedMs).toBeLessThan(8_000);
  });

  it('does not hold up an agent that stops in order', async () => {
    const redis = await redisServer();
    const one = await startAgent({ file: { redis: standalone(redis.port), maxStalenessMs: 10_000 } });
    const client = nearClient([one.address]);
    await one.client.put('gpu_avail', 'k', 1);
    await held(client, 'k');
    const startedAt = performance.now();
    await one.stop();
    // Waited for, it would be the whole lease.
    expect(performance.now() - startedAt).toBeLessThan(8_000);
    await until('nothing is held', () => client.nearStats?.leaseMs === 0);
  });
});

describe('a refresh before the end', () => {
  it('is done once in the whole cluster, and everybody goes on with what there is', async () => {
    const redis = await redisServer();
    const file = { redis: standalone(redis.port) };
    const agents = [await agent({ file }), await agent({ file }), await agent({ file })];
    let loads = 0;
    const load = async () => {
      loads += 1;
      return loads;
    };
    const options = { codec: anyJson, ttlMs: 2_000, refreshAfter: 0.25, tags: ['t'] };
    const [first] = agents;
    expect(await first?.client.getOrLoad('gpu_avail', 'k', load, options)).toBe(1);
    // Nobody ever waits: the entry is replaced before it ends, again and again.
    const end = performance.now() + 4_500;
    while (performance.now() < end) {
      const values = await Promise.all(
        agents.map(({ client }) => client.getOrLoad('gpu_avail', 'k', load, options)),
      );
      for (const value of values) expect(Number(value)).toBeGreaterThanOrEqual(loads - 1);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(loads).toBeGreaterThanOrEqual(3);
    // Each life of two seconds is refreshed after half a second, by one of three.
    expect(loads).toBeLessThanOrEqual(11);
    await first?.client.invalidate('gpu_avail', { tags: ['t'] }, { confirm: true });
    for (const { client } of agents) expect((await client.get('gpu_avail', 'k')).status).toBe('miss');
  });
});

describe('a confirmed change and a near cache that is frozen', () => {
  it('waits for its lease to end, no longer, and the frozen one answers nothing old when it goes on', async () => {
    const redis = await redisServer();
    const file = { redis: standalone(redis.port), maxStalenessMs: 1_500 };
    const one = await agent({ file });
    const near = await NearProcess.start({ address: one.address, namespace: 'gpu_avail', key: 'k' });
    onTestFinished(() => near.stop());
    // A young log makes confirmations wait; this one is of an old log.
    await until('a confirmation is quick', async () => {
      const { confirmation } = await one.client.put('gpu_avail', 'k', 'old', { confirm: true });
      return confirmation !== undefined && confirmation.elapsedMs < 100;
    });
    await until('it answers from itself', async () => (await near.ask()).source === 'near');
    near.signal('SIGSTOP');
    const { confirmation } = await one.client.put('gpu_avail', 'k', 'new', { confirm: true });
    expect(confirmation?.elapsedMs).toBeGreaterThan(300);
    expect(confirmation?.elapsedMs).toBeLessThan(5_000);
    // Asked while it is frozen, so that it answers first of all, before it has read what its agent sent meanwhile.
    const asked = near.ask();
    near.signal('SIGCONT');
    expect(await asked).toMatchObject({ status: 'hit', value: 'new' });
    // Awake again, it acknowledges.
    await until('a confirmation is quick again', async () => {
      const again = await one.client.put('gpu_avail', 'k', 'newer', { confirm: true });
      return again.confirmation !== undefined && again.confirmation.elapsedMs < 100;
    });
  });

  it('waits for one that was killed no longer than its lease', async () => {
    const redis = await redisServer();
    const one = await agent({ file: { redis: standalone(redis.port), maxStalenessMs: 1_000 } });
    const near = await NearProcess.start({ address: one.address, namespace: 'gpu_avail', key: 'k' });
    onTestFinished(() => near.stop());
    await one.client.put('gpu_avail', 'k', 'old');
    await until('it answers from itself', async () => (await near.ask()).source === 'near');
    near.signal('SIGKILL');
    const { confirmation } = await one.client.put('gpu_avail', 'k', 'new', { confirm: true });
    expect(confirmation?.elapsedMs).toBeLessThan(5_000);
  });
});
