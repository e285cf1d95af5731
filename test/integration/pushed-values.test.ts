import { describe, expect, it, onTestFinished } from 'vitest';
import { loggedEventSchema } from '../../api/event.ts';
import type { NamespaceSpec } from '../../api/namespace.ts';
import { until } from '../../hack/local/children.ts';
import { RedisServer } from '../../hack/local/redis-server.ts';
import { standalone, startAgent, type TestAgent } from '../support/cache.ts';

const NAMESPACE = 'gpu_pricing';
const PUSHED: NamespaceSpec = { name: NAMESPACE, pushValueBytes: 64 };
const DROPPED: NamespaceSpec = { name: NAMESPACE };

async function redisServer(): Promise<RedisServer> {
  const redis = await RedisServer.start();
  onTestFinished(() => redis.stop());
  return redis;
}

async function agent(redis: RedisServer, namespace: NamespaceSpec = PUSHED): Promise<TestAgent> {
  const file = { cacheId: 'push', redis: standalone(redis.port), namespaces: [namespace] };
  const one = await startAgent({ file });
  onTestFinished(() => one.stop());
  return one;
}

/** What an agent has read from Redis and from memory, and replaced there, since it started. */
async function reads({ client, http }: TestAgent) {
  const { l1, l2 } = await client.stats();
  const metrics = await (await http('/metrics')).text();
  const replaced = Number(/^edgecache_l1_replacements_total (\d+)/m.exec(metrics)?.[1]);
  return { l1: l1?.hits ?? 0, l2: (l2?.hits ?? 0) + (l2?.misses ?? 0), replaced };
}

describe('a value that travels with its event', () => {
  it('replaces what agents hold, so that nobody reads Redis again', async () => {
    const redis = await redisServer();
    const [writer, holder, other] = [await agent(redis), await agent(redis), await agent(redis)];
    await writer.client.put(NAMESPACE, 'k', { price: 0 });
    await holder.client.get(NAMESPACE, 'k');
    const before = await reads(holder);
    for (let price = 1; price <= 20; price++) {
      await writer.client.put(NAMESPACE, 'k', { price }, { confirm: true });
      expect(await holder.client.get(NAMESPACE, 'k')).toMatchObject({ value: { price }, source: 'l1' });
    }
    expect(await reads(holder)).toEqual({ l1: before.l1 + 20, l2: before.l2, replaced: 20 });
    // One that never asked for the key is not filled with it.
    expect((await other.client.stats()).l1?.entries).toBe(0);
  });

  it('is dropped like any other by what comes after it: keys, its new tags, its namespace', async () => {
    const redis = await redisServer();
    const [writer, holder] = [await agent(redis), await agent(redis)];
    const { client } = writer;
    await client.put(NAMESPACE, 'k', { price: 0 }, { tags: ['old'] });
    for (const change of [
      () => client.invalidate(NAMESPACE, { keys: ['k'] }, { confirm: true }),
      () => client.invalidate(NAMESPACE, { tags: ['new'] }, { confirm: true }),
      () => client.invalidate(NAMESPACE, {}, { confirm: true }),
    ]) {
      await holder.client.get(NAMESPACE, 'k');
      await client.put(NAMESPACE, 'k', { price: 1 }, { tags: ['new'], confirm: true });
      await client.invalidate(NAMESPACE, { tags: ['old'] }, { confirm: true });
      expect(await holder.client.get(NAMESPACE, 'k')).toMatchObject({ status: 'hit', value: { price: 1 } });
      await change();
      expect(await holder.client.get(NAMESPACE, 'k')).toMatchObject({ status: 'miss' });
      await client.put(NAMESPACE, 'k', { price: 0 }, { tags: ['old'] });
    }
  });

  it('lives no longer than in Redis', async () => {
    const redis = await redisServer();
    const [writer, holder] = [await agent(redis), await agent(redis)];
    await writer.client.put(NAMESPACE, 'k', { price: 0 });
    await holder.client.get(NAMESPACE, 'k');
    await writer.client.put(NAMESPACE, 'k', { price: 1 }, { ttlMs: 300, confirm: true });
    await until('it has ended', async () => (await holder.client.get(NAMESPACE, 'k')).status === 'miss', {
      timeoutMs: 2_000,
      everyMs: 10,
    });
  });

  it('is only what is small enough, stands in the message and not in the log', async () => {
    const redis = await redisServer();
    const [writer, holder] = [await agent(redis), await agent(redis)];
    const messages: string[] = [];
    const subscriber = redis.admin.duplicate();
    onTestFinished(() => subscriber.disconnect());
    subscriber.on('smessage', (_, text) => messages.push(text));
    for (let p = 0; p < 16; p++) await subscriber.ssubscribe(`ec:{push:${p}}:events`);
    await writer.client.put(NAMESPACE, 'k', 'small', { tags: ['t'] });
    await holder.client.get(NAMESPACE, 'k');
    await writer.client.put(NAMESPACE, 'k', 'large'.repeat(20), { confirm: true });
    await until('both are told', () => messages.length === 2);
    const [small, large] = messages.map((text) => loggedEventSchema.parse(JSON.parse(text)));
    expect(small?.put).toEqual({
      ttl_ms: 60_000,
      tags: ['t'],
      value: Buffer.from('"small"').toString('base64'),
    });
    expect(large?.put).toBeUndefined();
    expect(await holder.client.get(NAMESPACE, 'k')).toMatchObject({
      source: 'l2',
      value: 'large'.repeat(20),
    });
    const commands = redis.admin.duplicate();
    onTestFinished(() => commands.disconnect());
    for (const key of await commands.keys('ec:*:log')) {
      for (const [, [, json]] of await commands.xrange(key, '-', '+')) {
        expect(json).toContain('"op":"put"');
        expect(json).not.toContain('"put":{');
      }
    }
  });

  it('is passed over by an agent whose configuration does not have it', async () => {
    const redis = await redisServer();
    const [writer, holder, silent] = [
      await agent(redis),
      await agent(redis, DROPPED),
      await agent(redis, DROPPED),
    ];
    await writer.client.put(NAMESPACE, 'k', { price: 0 });
    await holder.client.get(NAMESPACE, 'k');
    await writer.client.put(NAMESPACE, 'k', { price: 1 }, { confirm: true });
    expect(await holder.client.get(NAMESPACE, 'k')).toMatchObject({ value: { price: 1 }, source: 'l2' });
    await silent.client.put(NAMESPACE, 'k', { price: 2 }, { confirm: true });
    expect(await holder.client.get(NAMESPACE, 'k')).toMatchObject({ value: { price: 2 }, source: 'l2' });
    expect(await reads(holder)).toMatchObject({ replaced: 0 });
  });
});
