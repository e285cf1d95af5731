import { Counter, Gauge, type Registry } from 'prom-client';
import type { Analytics } from './analytics.ts';

/** Keys are in Stats only: labels must be few. */
export function analyticsMetrics({ byNamespace, churn, curve }: Analytics, registry: Registry): void {
  const registers = [registry];
  new Counter({
    name: 'edgecache_l1_misses_by_cause_total',
    help: 'Lookups that memory did not answer, by why.',
    labelNames: ['namespace', 'cause'],
    registers,
    collect() {
      this.reset();
      for (const [namespace, { causes }] of byNamespace)
        for (const [cause, count] of causes) this.inc({ namespace, cause }, count);
    },
  });
  new Counter({
    name: 'edgecache_events_applied_by_type_total',
    help: 'Events applied to memory, by type; types beyond the first 63 are "other".',
    labelNames: ['event_type'],
    registers,
    collect() {
      this.reset();
      for (const { eventType, events } of churn.byType()) this.inc({ event_type: eventType }, events);
    },
  });
  new Counter({
    name: 'edgecache_l1_invalidations_by_type_total',
    help: 'Entries that events took out of memory, by type.',
    labelNames: ['event_type'],
    registers,
    collect() {
      this.reset();
      for (const { eventType, dropped } of churn.byType()) this.inc({ event_type: eventType }, dropped);
    },
  });
  new Gauge({
    name: 'edgecache_l1_what_if_hit_ratio',
    help: 'What memory would answer if it had so many times its size; an estimate from a sample of the keys.',
    labelNames: ['size'],
    registers,
    collect() {
      this.reset();
      for (const { factor, hitRatio } of curve.points()) this.set({ size: String(factor) }, hitRatio);
    },
  });
}
