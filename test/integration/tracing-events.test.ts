import { describe, expect, it, onTestFinished } from 'vitest';
import { TracedEdgeCacheClient } from '../../client/traced-client.ts';
import { until } from '../../hack/local/children.ts';
import type { TestAgent } from '../support/cache.ts';
import type { OtlpReceiver } from '../support/otlp-receiver.ts';
import { applicationTracer, collector, redisServer, tracedAgent } from '../support/traces.ts';

const NAMESPACE = 'gpu_avail';

function tracedClient(agent: TestAgent, receiver: OtlpReceiver) {
  const client = new TracedEdgeCacheClient({
    addresses: [agent.address],
    connectTimeoutMs: 2_000,
    deadlineMs: 5_000,
    tracer: applicationTracer(receiver),
  });
  onTestFinished(() => client.close());
  return client;
}

describe('a booking', () => {
  it('is one trace with its invalidation on every node', async () => {
    const [redis, receiver] = [await redisServer(), await collector()];
    const agents = [
      await tracedAgent({ redis, receiver, nodeId: 'node-a' }),
      await tracedAgent({ redis, receiver, nodeId: 'node-b' }),
    ] as const;
    const client = tracedClient(agents[0], receiver);
    await client.put(NAMESPACE, 'gpu_1', 'free', { confirm: true });
    // What node-b holds, the booking takes out of its memory.
    await agents[1].client.get(NAMESPACE, 'gpu_1');
    const { eventId } = await client.publish(
      { type: 'booking_created', namespaces: [NAMESPACE], keys: ['gpu_1'], resourceId: 'gpu_1' },
      { confirm: true },
    );

    const invalidated = await until('each node has told', () => {
      const spans = receiver
        .named('invalidate')
        .filter(({ attributes }) => attributes['edgecache.event_id'] === eventId);
      return spans.length === 2 ? spans : undefined;
    });
    const [booking] = await receiver.until('EdgeCache publish');
    const [served] = await receiver.until('edgecache.v1.EdgeCache/Publish');
    expect(booking?.attributes).toMatchObject({ 'edgecache.event_id': eventId });
    expect(served).toMatchObject({ traceId: booking?.traceId, parentSpanId: booking?.spanId });
    expect(receiver.named('redis change').filter(({ traceId }) => traceId === booking?.traceId)).toHaveLength(
      1,
    );
    for (const span of invalidated) {
      expect(span).toMatchObject({
        traceId: booking?.traceId,
        parentSpanId: served?.spanId,
        kind: 5,
        links: [{ traceId: booking?.traceId, spanId: served?.spanId }],
        attributes: {
          'edgecache.event_type': 'booking_created',
          'edgecache.propagation_ms': expect.any(Number),
          'edgecache.since_change_ms': expect.any(Number),
        },
      });
      expect(span.endTimeUnixNano).toBeGreaterThanOrEqual(span.startTimeUnixNano);
    }
    expect(invalidated.map(({ resource }) => resource['host.name']).sort()).toEqual(['node-a', 'node-b']);
    const b = invalidated.find(({ resource }) => resource['host.name'] === 'node-b');
    expect(b?.attributes['edgecache.entries_dropped']).toBe(1);
  });

  it('shows as an exemplar of how long calls and events took, where OpenMetrics is asked for', async () => {
    const [redis, receiver] = [await redisServer(), await collector()];
    const agent = await tracedAgent({ redis, receiver, nodeId: 'node-a' });
    await tracedClient(agent, receiver).put(NAMESPACE, 'gpu_1', 'free', { confirm: true });
    const [{ traceId } = { traceId: '' }] = await receiver.until('EdgeCache put');
    const accept = { headers: { accept: 'application/openmetrics-text' } };
    const open = await (await agent.http('/metrics', accept)).text();
    const marked = (name: string) =>
      open.split('\n').filter((line) => line.startsWith(name) && line.includes(`trace_id="${traceId}"`));
    expect(marked('edgecache_propagation_seconds_bucket')).toHaveLength(1);
    expect(marked('edgecache_call_duration_seconds_bucket{le=')).toHaveLength(1);
    expect(await (await agent.http('/metrics')).text()).not.toContain('trace_id');
  });

  it('that nobody samples leaves nothing in the event', async () => {
    const [redis, receiver] = [await redisServer(), await collector()];
    const agent = await tracedAgent({ redis, receiver, nodeId: 'node-a' });
    await agent.client.put(NAMESPACE, 'gpu_1', 'free', { confirm: true });
    await tracedClient(agent, receiver).put(NAMESPACE, 'gpu_2', 'free', { confirm: true });
    await receiver.until('invalidate');
    expect(receiver.named('invalidate')).toHaveLength(1);
    const accept = { headers: { accept: 'application/openmetrics-text' } };
    expect((await (await agent.http('/metrics', accept)).text()).match(/# \{\}/)).toBeNull();
  });

  it('that had to wait for Redis is told with its wait', async () => {
    const [redis, receiver] = [await redisServer(), await collector()];
    const agent = await tracedAgent({ redis, receiver, nodeId: 'node-a' });
    const client = tracedClient(agent, receiver);
    let eventId = '';
    await redis.restart(async () => {
      await until('a change is queued', async () => {
        const changed = await client.put(NAMESPACE, 'gpu_1', 'booked');
        eventId = changed.eventId;
        return changed.state === 'queued';
      });
    });
    const ofEvent = (name: string) =>
      until(`the span ${name}`, () =>
        receiver.named(name).find(({ attributes }) => attributes['edgecache.event_id'] === eventId),
      );
    const sent = await ofEvent('send queued change');
    const put = await ofEvent('EdgeCache put');
    expect(put.attributes).toMatchObject({ 'edgecache.state': 'queued' });
    expect(sent).toMatchObject({ traceId: put.traceId, attributes: { 'edgecache.outcome': 'applied' } });
    const invalidated = await ofEvent('invalidate');
    expect(invalidated.traceId).toBe(put.traceId);
    // Accepted before it was answered; clocks of spans are of whole milliseconds.
    const answered = await ofEvent('edgecache.v1.EdgeCache/Put');
    const waitedMs = Number((sent.startTimeUnixNano - answered.endTimeUnixNano) / 1_000_000n);
    expect(Number(invalidated.attributes['edgecache.since_change_ms'])).toBeGreaterThanOrEqual(waitedMs - 5);
  });
});
