import { describe, expect, it, onTestFinished } from 'vitest';
import { anyJson } from '../../client/codec.ts';
import { EdgeCacheClient } from '../../client/edge-cache-client.ts';
import { until } from '../../hack/local/children.ts';
import { LocalAgent } from '../../hack/local/local-agent.ts';
import { RedisServer } from '../../hack/local/redis-server.ts';
import { standalone } from '../support/cache.ts';

/** Two agents, the first of which is the client's own, and lookups that never cease. */
async function setUp() {
  const redis = await RedisServer.start();
  onTestFinished(() => redis.stop());
  const file = { redis: standalone(redis.port) };
  const [own, other] = await Promise.all(
    ['own', 'other'].map((nodeId) => LocalAgent.start({ nodeId, file })),
  );
  if (own === undefined || other === undefined) throw new Error('two agents');
  onTestFinished(async () => {
    await Promise.all([own, other].map((agent) => agent.stop('SIGKILL')));
  });
  const client = new EdgeCacheClient({ addresses: [own.address, other.address], deadlineMs: 10_000 });
  onTestFinished(() => client.close());
  for (let i = 0; i < 50; i++) await client.put('gpu_avail', `k${i}`, i);
  return { own, other, client };
}

/** Looks up until told to stop; says how many were answered, by whom, and what failed. */
function lookUp(client: EdgeCacheClient) {
  const nodes = new Map<string, number>();
  const failures: unknown[] = [];
  let answered = 0;
  let stop = false;
  const workers = Array.from({ length: 32 }, async (_, worker) => {
    for (let i = worker; !stop; i++) {
      try {
        const found = await client.get('gpu_avail', `k${i % 50}`);
        answered += 1;
        nodes.set(found.node, (nodes.get(found.node) ?? 0) + 1);
        if (found.status === 'hit' && found.value !== i % 50) failures.push(found);
      } catch (error) {
        failures.push(error);
      }
    }
  });
  const end = async () => {
    stop = true;
    await Promise.all(workers);
  };
  return { nodes, failures, answered: () => answered, end };
}

describe('lookups on a stream', () => {
  it('are answered by the next agent when theirs is killed, and none is lost', async () => {
    const { own, client } = await setUp();
    const load = lookUp(client);
    await until('the own agent answers', () => (load.nodes.get('own') ?? 0) > 500);
    await own.stop('SIGKILL');
    await until('the other one answers', () => (load.nodes.get('other') ?? 0) > 500);
    await load.end();
    expect(load.failures).toEqual([]);
  });

  it('lose nothing while their agent drains, and go back to it when it is there again', async () => {
    const { own, client } = await setUp();
    const load = lookUp(client);
    await until('the own agent answers', () => (load.nodes.get('own') ?? 0) > 500);
    await own.stop('SIGTERM');
    await until('the other one answers', () => (load.nodes.get('other') ?? 0) > 500);
    const before = load.nodes.get('own') ?? 0;
    await own.start();
    await until('the own one answers again', () => (load.nodes.get('own') ?? 0) > before + 500, {
      timeoutMs: 30_000,
    });
    await load.end();
    expect(load.failures).toEqual([]);
  });

  it('leave it to loaders when no agent is left, at once after the first time', async () => {
    const { own, other, client } = await setUp();
    await Promise.all([own, other].map((agent) => agent.stop('SIGKILL')));
    const times: number[] = [];
    for (let i = 0; i < 200; i++) {
      const beganAt = performance.now();
      expect(await client.getOrLoad('gpu_avail', 'k', async () => i, { codec: anyJson })).toBe(i);
      times.push(performance.now() - beganAt);
    }
    times.sort((a, b) => a - b);
    // Nothing is waited for: a deadline of any kind would be in the middle as well.
    expect(times[Math.floor(times.length / 2)]).toBeLessThan(50);
  });
});
