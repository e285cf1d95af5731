import { describe, expect, it, onTestFinished } from 'vitest';
import { TracedEdgeCacheClient } from '../../client/traced-client.ts';
import type { TestAgent } from '../support/cache.ts';
import type { OtlpReceiver } from '../support/otlp-receiver.ts';
import { applicationTracer, collector, redisServer, tracedAgent } from '../support/traces.ts';

const NAMESPACE = 'gpu_pricing';
const LOOKUP = 'edgecache.v1.EdgeCache/Lookup';

function tracedClient(agent: TestAgent, receiver: OtlpReceiver, sampled = true) {
  const client = new TracedEdgeCacheClient({
    addresses: [agent.address],
    connectTimeoutMs: 2_000,
    deadlineMs: 5_000,
    tracer: applicationTracer(receiver, sampled),
  });
  onTestFinished(() => client.close());
  return client;
}

describe('lookups that share a stream', () => {
  it('are each told in the trace of their own caller, with what Redis took for them', async () => {
    const [redis, receiver] = [await redisServer(), await collector()];
    const agent = await tracedAgent({ redis, receiver, nodeId: 'node-a' });
    const client = tracedClient(agent, receiver);
    await agent.client.put(NAMESPACE, 'held', 1, { confirm: true });
    // The first makes the connection, and is a call of its own.
    await client.get(NAMESPACE, 'first');
    await Promise.all([client.get(NAMESPACE, 'held'), client.get(NAMESPACE, 'missing')]);

    const served = await receiver.until(LOOKUP, 2);
    const calls = await receiver.until('EdgeCache get', 3);
    const outcome = (name: string) => (span: (typeof served)[0]) =>
      span.attributes['edgecache.outcome'] === name;
    const [hit, miss] = [served.find(outcome('l1')), served.find(outcome('miss'))];
    expect(hit?.attributes).toMatchObject({ 'edgecache.namespace': NAMESPACE, 'edgecache.batch': 2 });
    expect(calls.find(outcome('l1'))).toMatchObject({ traceId: hit?.traceId, spanId: hit?.parentSpanId });
    const missed = calls.filter(outcome('miss')).find(({ traceId }) => traceId === miss?.traceId);
    expect(missed?.spanId).toBe(miss?.parentSpanId);
    const scripts = await receiver.until('redis get', 2);
    const parents = scripts.map(({ parentSpanId }) => parentSpanId);
    expect(parents).toContain(miss?.spanId);
    expect(parents).not.toContain(hit?.spanId);
  });

  it('of one caller are one span, with the outcomes counted', async () => {
    const [redis, receiver] = [await redisServer(), await collector()];
    const agent = await tracedAgent({ redis, receiver, nodeId: 'node-a' });
    const client = tracedClient(agent, receiver);
    await client.put(NAMESPACE, 'held', 1, { confirm: true });
    await client.getMany(NAMESPACE, ['held', 'missing', 'gone']);
    const [call] = await receiver.until('EdgeCache getMany');
    const [served] = await receiver.until(LOOKUP);
    expect(served).toMatchObject({
      traceId: call?.traceId,
      parentSpanId: call?.spanId,
      attributes: {
        'edgecache.items': 3,
        'edgecache.outcomes.l1': 1,
        'edgecache.outcomes.miss': 2,
      },
    });
  });

  it('tell of a lookup that is refused', async () => {
    const [redis, receiver] = [await redisServer(), await collector()];
    const agent = await tracedAgent({ redis, receiver, nodeId: 'node-a' });
    const client = tracedClient(agent, receiver);
    await client.put(NAMESPACE, 'held', 1);
    await expect(client.get('nowhere', 'k')).rejects.toThrow('nowhere');
    const [served] = await receiver.until(LOOKUP);
    expect(served?.attributes).toMatchObject({ 'edgecache.outcome': 'refused' });
  });

  it('are not sampled by the agent where their client decides', async () => {
    const [redis, receiver] = [await redisServer(), await collector()];
    const agent = await tracedAgent({ redis, receiver, nodeId: 'node-a', sampleRatio: 1 });
    const unsampled = tracedClient(agent, receiver, false);
    await unsampled.put(NAMESPACE, 'held', 1, { confirm: true });
    await unsampled.getMany(NAMESPACE, ['held', 'missing']);
    // What nobody has decided on is the agent's.
    await agent.client.put(NAMESPACE, 'other', 1);
    await agent.client.getMany(NAMESPACE, ['other']);
    const served = await receiver.until(LOOKUP);
    expect(served).toHaveLength(1);
    expect(served[0]).toMatchObject({ parentSpanId: '', attributes: { 'edgecache.items': 1 } });
  });

  it('tell of loads in the trace of who loads', async () => {
    const [redis, receiver] = [await redisServer(), await collector()];
    const agent = await tracedAgent({ redis, receiver, nodeId: 'node-a' });
    const client = tracedClient(agent, receiver);
    await client.put(NAMESPACE, 'held', 1);
    const load = (key: string) => client.getOrLoad(NAMESPACE, key, async () => ({ key }));
    expect(await Promise.all([load('a'), load('b')])).toEqual([{ key: 'a' }, { key: 'b' }]);
    const calls = await receiver.until('EdgeCache getOrLoad', 2);
    const fills = await receiver.until('edgecache.v1.EdgeCache/Fill', 2);
    const lookups = await receiver.until(LOOKUP, 2);
    for (const { spanId, traceId } of calls) {
      expect(fills.filter((fill) => fill.traceId === traceId && fill.parentSpanId === spanId)).toHaveLength(
        1,
      );
      expect(lookups.filter((one) => one.traceId === traceId && one.parentSpanId === spanId)).toHaveLength(1);
    }
  });
});
