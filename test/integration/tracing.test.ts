import { describe, expect, it, onTestFinished } from 'vitest';
import { TracedEdgeCacheClient } from '../../client/traced-client.ts';
import type { TestAgent } from '../support/cache.ts';
import type { OtlpReceiver } from '../support/otlp-receiver.ts';
import { applicationTracer, collector, redisServer, tracedAgent } from '../support/traces.ts';

const NAMESPACE = 'gpu_pricing';

function tracedClient(agent: TestAgent, receiver: OtlpReceiver, { sampled = true, stream = false } = {}) {
  const client = new TracedEdgeCacheClient({
    addresses: [agent.address],
    connectTimeoutMs: 2_000,
    deadlineMs: 5_000,
    lookups: { stream },
    tracer: applicationTracer(receiver, sampled),
  });
  onTestFinished(() => client.close());
  return client;
}

describe('a trace', () => {
  it('goes from the client through the agent to Redis', async () => {
    const [redis, receiver] = [await redisServer(), await collector()];
    const agent = await tracedAgent({ redis, receiver, nodeId: 'node-a' });
    const client = tracedClient(agent, receiver);
    const { eventId } = await client.put(NAMESPACE, 'k', { price: 1 });

    const [put] = await receiver.until('EdgeCache put');
    const [served] = await receiver.until('edgecache.v1.EdgeCache/Put');
    const [script] = await receiver.until('redis change');
    expect(put).toMatchObject({
      parentSpanId: '',
      kind: 3,
      attributes: {
        'edgecache.namespace': NAMESPACE,
        'edgecache.event_id': eventId,
        'edgecache.state': 'applied',
      },
      resource: { 'service.name': 'shop' },
    });
    expect(served).toMatchObject({
      traceId: put?.traceId,
      parentSpanId: put?.spanId,
      kind: 2,
      attributes: {
        'rpc.system': 'grpc',
        'rpc.method': 'Put',
        'edgecache.namespace': NAMESPACE,
        'edgecache.node': 'node-a',
        'edgecache.event_id': eventId,
      },
      resource: { 'service.name': 'edgecache-agent', 'host.name': 'node-a' },
    });
    expect(script).toMatchObject({
      traceId: put?.traceId,
      parentSpanId: served?.spanId,
      kind: 3,
      attributes: { 'db.system': 'redis', 'db.operation.name': 'change', 'edgecache.event_id': eventId },
    });
    expect(script?.attributes).toHaveProperty('edgecache.partition');
  });

  it('tells where a lookup was answered from', async () => {
    const [redis, receiver] = [await redisServer(), await collector()];
    const [writer, reader] = [
      await tracedAgent({ redis, receiver, nodeId: 'writer' }),
      await tracedAgent({ redis, receiver, nodeId: 'reader' }),
    ];
    const client = tracedClient(reader, receiver);
    await client.get(NAMESPACE, 'k');
    await writer.client.put(NAMESPACE, 'k', { price: 1 }, { confirm: true });
    await client.get(NAMESPACE, 'k');
    await client.get(NAMESPACE, 'k');

    const served = await receiver.until('edgecache.v1.EdgeCache/Get', 3);
    const outcomes = served.map(({ attributes }) => attributes['edgecache.outcome']);
    expect(outcomes).toEqual(['miss', 'l2', 'l1']);
    const calls = await receiver.until('EdgeCache get', 3);
    expect(calls.map(({ attributes }) => attributes['edgecache.outcome'])).toEqual(outcomes);
    expect(calls.map(({ attributes }) => attributes['edgecache.node'])).toEqual(Array(3).fill('reader'));
    // Memory asks nobody.
    const scripts = await receiver.until('redis get', 2);
    expect(scripts.map(({ parentSpanId }) => parentSpanId)).toEqual(
      served.slice(0, 2).map(({ spanId }) => spanId),
    );
  });

  it('tells of a load, its fill, and why it was made', async () => {
    const [redis, receiver] = [await redisServer(), await collector()];
    const agent = await tracedAgent({ redis, receiver, nodeId: 'node-a' });
    const client = tracedClient(agent, receiver);
    expect(await client.getOrLoad(NAMESPACE, 'k', async () => ({ price: 1 }))).toEqual({ price: 1 });
    const [load] = await receiver.until('EdgeCache getOrLoad');
    expect(load?.attributes).toMatchObject({ 'edgecache.load': 'miss' });
    const [fill] = await receiver.until('edgecache.v1.EdgeCache/Fill');
    expect(fill).toMatchObject({ parentSpanId: load?.spanId, attributes: { 'edgecache.accepted': true } });
    const [script] = await receiver.until('redis fill');
    expect(script?.parentSpanId).toBe(fill?.spanId);
  });

  it('tells of what failed by its code, and which failures are the caller’s', async () => {
    const [redis, receiver] = [await redisServer(), await collector()];
    const agent = await tracedAgent({ redis, receiver, nodeId: 'node-a' });
    const client = tracedClient(agent, receiver);
    await expect(client.get('nowhere', 'k')).rejects.toThrow('nowhere');
    const [call] = await receiver.until('EdgeCache get');
    expect(call).toMatchObject({ status: { code: 2 } });
    const [served] = await receiver.until('edgecache.v1.EdgeCache/Get');
    expect(served?.attributes).toMatchObject({ 'rpc.grpc.status_code': 5 });
    expect(served?.status.code ?? 0).toBe(0);
  });

  it('is not begun by an agent where its caller has decided against it', async () => {
    const [redis, receiver] = [await redisServer(), await collector()];
    const agent = await tracedAgent({ redis, receiver, nodeId: 'node-a', sampleRatio: 1 });
    const unsampled = tracedClient(agent, receiver, { sampled: false });
    await unsampled.put(NAMESPACE, 'k', { price: 1 });
    // One that nobody has decided on is the agent's: it comes behind, so the other would be there by now.
    await agent.client.put(NAMESPACE, 'k', { price: 2 });
    await receiver.until('redis change');
    expect(receiver.named('edgecache.v1.EdgeCache/Put')).toHaveLength(1);
    expect(receiver.named('EdgeCache put')).toHaveLength(0);
  });
});

describe('an agent whose collector is away', () => {
  it('answers as ever, counts what is lost and sends what comes later', async () => {
    const [redis, receiver] = [await redisServer(), await collector()];
    receiver.answer = 400;
    const agent = await tracedAgent({ redis, receiver, nodeId: 'node-a', sampleRatio: 1 });
    await agent.client.put(NAMESPACE, 'k', { price: 1 });
    const dropped = async () =>
      Number(
        /^edgecache_spans_dropped_total\{reason="export"\} (\d+)/m.exec(
          await (await agent.http('/metrics')).text(),
        )?.[1],
      );
    await expect.poll(dropped, { timeout: 10_000 }).toBeGreaterThanOrEqual(2);
    receiver.answer = 200;
    await agent.client.put(NAMESPACE, 'k', { price: 2 });
    await receiver.until('edgecache.v1.EdgeCache/Put');
  });

  it('is stopped all the same', async () => {
    const [redis, receiver] = [await redisServer(), await collector()];
    receiver.answer = 'silence';
    const agent = await tracedAgent({ redis, receiver, nodeId: 'node-a', sampleRatio: 1 });
    await agent.client.put(NAMESPACE, 'k', { price: 1 });
    await agent.stop();
    expect(receiver.spans).toEqual([]);
  });

  it('sends what waits when it is stopped', async () => {
    const [redis, receiver] = [await redisServer(), await collector()];
    const agent = await tracedAgent({ redis, receiver, nodeId: 'node-a', sampleRatio: 1 });
    await agent.client.put(NAMESPACE, 'k', { price: 1 });
    await agent.stop();
    expect(receiver.named('edgecache.v1.EdgeCache/Put')).toHaveLength(1);
  });
});
