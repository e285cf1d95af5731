import { Counter, Gauge, type Registry } from 'prom-client';
import type { SpanQueue } from './span-queue.ts';

/** Metrics of an agent that traces. */
export function tracingMetrics(queue: SpanQueue, registry: Registry): void {
  new Counter({
    name: 'edgecache_spans_exported_total',
    help: 'Spans that the collector took.',
    registers: [registry],
    collect() {
      this.reset();
      this.inc(queue.exported);
    },
  });
  new Counter({
    name: 'edgecache_spans_dropped_total',
    help: 'Spans that were lost: the queue was full (queue), or the collector did not take them (export).',
    labelNames: ['reason'],
    registers: [registry],
    collect() {
      this.reset();
      this.inc({ reason: 'queue' }, queue.overflowed);
      this.inc({ reason: 'export' }, queue.refused);
    },
  });
  new Gauge({
    name: 'edgecache_spans_queued',
    help: 'Spans that wait for the collector.',
    registers: [registry],
    collect() {
      this.set(queue.size);
    },
  });
}
