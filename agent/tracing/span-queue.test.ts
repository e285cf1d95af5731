import { resourceFromAttributes } from '@opentelemetry/resources';
import { type ReadableSpan, type SpanExporter, TracerProvider } from '@opentelemetry/sdk-trace';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { SpanQueue } from './span-queue.ts';

/** An exporter that answers when it is told to. */
class HeldExporter implements SpanExporter {
  readonly batches: ReadableSpan[][] = [];
  readonly #waiting: ((failed: boolean) => void)[] = [];
  stopped = false;

  export(spans: ReadableSpan[], done: Parameters<SpanExporter['export']>[1]): void {
    this.batches.push(spans);
    this.#waiting.push((failed) => done(failed ? { code: 1, error: new Error('away') } : { code: 0 }));
  }

  answer({ failed = false } = {}): void {
    this.#waiting.shift()?.(failed);
  }

  shutdown(): Promise<void> {
    this.stopped = true;
    return Promise.resolve();
  }
}

function setUp() {
  const exporter = new HeldExporter();
  const lines: { spans: number; error: string }[] = [];
  let time = 0;
  const log = pino({ level: 'warn' }, { write: (line: string) => lines.push(JSON.parse(line)) });
  const queue = new SpanQueue({ exporter, now: () => time, log });
  const provider = new TracerProvider({ resource: resourceFromAttributes({}), spanProcessors: [queue] });
  const tracer = provider.getTracer('test');
  const spans = (count: number) => {
    for (let i = 0; i < count; i++) tracer.startSpan('one').end();
  };
  const pass = (ms: number) => {
    time += ms;
  };
  return { exporter, queue, spans, lines, pass };
}

describe('the queue of spans', () => {
  it('sends one batch at a time', async () => {
    const { exporter, queue, spans } = setUp();
    spans(600);
    expect(exporter.batches.map(({ length }) => length)).toEqual([512]);
    exporter.answer();
    await expect.poll(() => exporter.batches.map(({ length }) => length)).toEqual([512, 88]);
    exporter.answer();
    await queue.forceFlush();
    expect(queue).toMatchObject({ exported: 600, size: 0, refused: 0, overflowed: 0 });
  });

  it('drops what does not fit, and counts it', () => {
    const { queue, spans } = setUp();
    spans(512 + 2_048 + 7);
    expect(queue).toMatchObject({ size: 2_048, overflowed: 7 });
  });

  it('counts what the collector does not take, and says so once a minute', async () => {
    const { exporter, queue, spans, lines, pass } = setUp();
    const fail = async (count: number) => {
      spans(count);
      const flushed = queue.forceFlush();
      exporter.answer({ failed: true });
      await flushed;
    };
    await fail(3);
    await fail(4);
    expect(queue).toMatchObject({ refused: 7, size: 0 });
    expect(lines).toMatchObject([{ spans: 3, error: 'away' }]);
    pass(60_000);
    await fail(5);
    expect(lines).toMatchObject([{ spans: 3 }, { spans: 9 }]);
  });

  it('stops after its time with a collector that does not answer, and counts what is left', async () => {
    const { exporter, queue, spans, lines } = setUp();
    spans(700);
    await queue.stop(1);
    expect(exporter.stopped).toBe(true);
    expect(queue).toMatchObject({ size: 0, refused: 700 });
    expect(lines).toMatchObject([{ spans: 700 }]);
  });
});
