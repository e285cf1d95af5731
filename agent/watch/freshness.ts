import type { Namespace } from '../../api/namespace.ts';
import type { Partition } from '../bus/partition.ts';

/**
 * Monotonic milliseconds until which an agent may answer from memory in every partition, for all of the namespaces
 * watched; none: for all that it has.
 */
export function freshUntil(
  partitions: readonly Pick<Partition, 'freshCriticalUntil' | 'freshBulkUntil' | 'settlingUntil'>[],
  namespaces: ReadonlyMap<string, Namespace>,
  watched: ReadonlySet<string> | undefined,
  now: number,
): number {
  let critical = false;
  let bulk = false;
  for (const rules of namespaces.values()) {
    if (watched !== undefined && !watched.has(rules.name)) continue;
    if (rules.critical) critical = true;
    else bulk = true;
  }
  let until = Number.POSITIVE_INFINITY;
  for (const { freshCriticalUntil, freshBulkUntil, settlingUntil } of partitions) {
    // What other agents had queued while the master was away is being sent just now.
    if (critical && now < settlingUntil) return 0;
    if (critical) until = Math.min(until, freshCriticalUntil);
    if (bulk) until = Math.min(until, freshBulkUntil);
  }
  return Number.isFinite(until) ? until : 0;
}
