import type { Declarations } from '../metrics/declarations.ts';
import type { Analytics } from './analytics.ts';

/** Keys are in Stats only: labels must be few. */
export function analyticsMetrics({ byNamespace, churn, curve }: Analytics, declare: Declarations): void {
  declare.counters(
    'l1_misses_by_cause',
    'Lookups that memory did not answer, by why.',
    ['cache_namespace', 'cause'],
    () =>
      [...byNamespace].flatMap(([namespace, { causes }]) =>
        [...causes].map(([cause, count]) => [{ cache_namespace: namespace, cause }, count] as const),
      ),
  );
  declare.counters(
    'events_applied_by_type',
    'Events applied to memory, by type; types beyond the first 63 are "other".',
    ['event_type'],
    () => churn.byType().map(({ eventType, events }) => [{ event_type: eventType }, events] as const),
  );
  declare.counters(
    'l1_invalidations_by_type',
    'Entries that events took out of memory, by type.',
    ['event_type'],
    () => churn.byType().map(({ eventType, dropped }) => [{ event_type: eventType }, dropped] as const),
  );
  declare.gauges(
    'l1_what_if_hit_ratio',
    'What memory would answer if it had so many times its size; an estimate from a sample of the keys.',
    ['size'],
    () => curve.points().map(({ factor, hitRatio }) => [{ size: String(factor) }, hitRatio] as const),
  );
}
