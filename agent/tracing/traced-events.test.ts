import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import { describe, expect, it } from 'vitest';
import type { ChangeOutcome, ChangePart } from '../l2/l2.ts';
import { TracedEvents } from './traced-events.ts';

const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const OTHER = TRACEPARENT.replace('0af7', 'ffff');

function setUp() {
  const exporter = new InMemorySpanExporter();
  const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });
  const tracer = provider.getTracer('test');
  return { exporter, events: new TracedEvents({ tracer, nodeId: 'node-a', outside: (run) => run() }) };
}

function aPart(event: object): ChangePart {
  return {
    partition: 3,
    eventId: 'e1',
    body: JSON.stringify(event).slice(1),
    keys: [],
    tagMarkers: [],
    namespaceMarkers: [],
    minReplicas: 0,
    confirm: false,
  };
}

const APPLIED: ChangeOutcome = { outcome: 'applied', version: '1-0', agents: new Map(), logAgeMs: 0 };

describe('a change that waited', () => {
  it('is told in the trace that its event names', async () => {
    const { events, exporter } = setUp();
    const part = aPart({ event_id: 'e1', traceparent: TRACEPARENT, confirm: 'node-a-1' });
    expect(await events.send(part, () => Promise.resolve(APPLIED))).toBe(APPLIED);
    const [span] = exporter.getFinishedSpans();
    expect(span?.spanContext().traceId).toBe(TRACEPARENT.slice(3, 35));
    expect(span?.attributes).toMatchObject({ 'edgecache.event_id': 'e1', 'edgecache.partition': 3 });
  });

  it('has no span for a try that failed', async () => {
    const { events, exporter } = setUp();
    const away = () => Promise.reject(new Error('away'));
    await expect(events.send(aPart({ traceparent: TRACEPARENT }), away)).rejects.toThrow('away');
    expect(exporter.getFinishedSpans()).toEqual([]);
  });

  it('is not taken in by what its data says', async () => {
    const { events, exporter } = setUp();
    await events.send(aPart({ data: { traceparent: OTHER }, keys: [] }), () => Promise.resolve(APPLIED));
    await events.send(aPart({ data: { a: `"traceparent":"${OTHER}"}` } }), () => Promise.resolve(APPLIED));
    expect(exporter.getFinishedSpans()).toEqual([]);
  });
});
