import { Metadata } from '@grpc/grpc-js';
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import { describe, expect, it } from 'vitest';
import type { BatchGetRequest, Traces } from '../../proto/gen/edgecache/v1/edgecache.ts';
import { type Answer, miss, type PartAnswers } from '../cache/answer.ts';
import { tracedLookups } from './traced-lookups.ts';
import { Tracing } from './tracing.ts';

const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

function setUp(answer: (request: BatchGetRequest) => PartAnswers) {
  const exporter = new InMemorySpanExporter();
  const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });
  const tracing = new Tracing({ tracer: provider.getTracer('test'), nodeId: 'node-a' });
  const metadata = new Metadata();
  metadata.set('edgecache-traces', 'client');
  const told = () =>
    exporter.getFinishedSpans().map(({ attributes }) => attributes['edgecache.outcome'] ?? attributes);
  return { told, exporter, lookUp: tracedLookups(tracing, metadata, answer) };
}

function aBatch(
  keys: readonly string[],
  traces: Traces['traces'] | undefined,
  split = true,
): BatchGetRequest {
  return {
    id: 1,
    items: keys.map((key) => ({ namespace: 'n', key, minToken: '', wantLease: false })),
    split,
    wantTags: false,
    refreshBelowMs: 0,
    traces: traces === undefined ? undefined : { traces },
  };
}

const hit: Answer = { ...miss('', 0), found: true, source: 1 };
const allThere = ({ items }: BatchGetRequest): PartAnswers => ({
  answers: items.map(() => hit),
  missing: [],
  rest: undefined,
});

describe('the traces of a batch', () => {
  it('end each with its own answer, those of memory before the rest', async () => {
    const { promise, resolve } = Promise.withResolvers<Answer[]>();
    const { told, lookUp } = setUp(() => ({ answers: [hit, undefined], missing: [1], rest: promise }));
    const places = [0, 1].map((place) => ({ traceparent: TRACEPARENT, places: [place] }));
    lookUp(aBatch(['a', 'b'], places));
    expect(told()).toEqual(['l1']);
    resolve([miss('', 0)]);
    await expect.poll(told).toEqual(['l1', 'miss']);
  });

  it('are none where the client has none, or what it says is none', () => {
    const { told, lookUp } = setUp(allThere);
    lookUp(aBatch(['a'], undefined));
    lookUp(aBatch(['a'], [{ traceparent: 'nonsense', places: [0] }]));
    lookUp(aBatch(['a'], [{ traceparent: TRACEPARENT, places: [7] }]));
    expect(told()).toEqual([]);
  });

  it('are no more than its lookups, whatever the client claims', () => {
    const { told, lookUp } = setUp(allThere);
    const many = Array.from({ length: 1_000 }, () => ({ traceparent: TRACEPARENT, places: [0] }));
    lookUp(aBatch(['a', 'b'], many));
    expect(told()).toEqual(['l1', 'l1']);
    lookUp(aBatch(['a', 'b'], [{ traceparent: TRACEPARENT, places: new Array(1_000).fill(0) }]));
    expect(told()).toHaveLength(2);
    const whole = Array.from({ length: 1_000 }, () => ({ traceparent: TRACEPARENT, places: [] }));
    lookUp(aBatch(['a', 'b'], whole));
    expect(told()).toHaveLength(3);
  });

  it('say so where the batch is refused as a whole', () => {
    const { exporter, lookUp } = setUp(() => {
      throw new Error('no');
    });
    expect(() => lookUp(aBatch(['a'], [{ traceparent: TRACEPARENT, places: [] }]))).toThrow('no');
    expect(exporter.getFinishedSpans().map(({ status }) => status.message)).toEqual(['no']);
  });
});
