import type { Declarations } from '../metrics/declarations.ts';
import type { SpanQueue } from './span-queue.ts';

/** Metrics of an agent that traces. */
export function tracingMetrics(queue: SpanQueue, declare: Declarations): void {
  declare.counter(
    'spans_exported',
    'Spans that the collector took; only where traces are on.',
    () => queue.exported,
  );
  declare.counters(
    'spans_dropped',
    'Spans that were lost: no room in the queue (queue), or not taken by the collector (export); only where traces are on.',
    ['reason'],
    () => [
      [{ reason: 'queue' }, queue.overflowed],
      [{ reason: 'export' }, queue.refused],
    ],
  );
  declare.gauge(
    'spans_queued',
    'Spans that wait for the collector; only where traces are on.',
    () => queue.size,
  );
}
