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
  const rules = [...namespaces.values()].filter(({ name }) => watched?.has(name) ?? true);
  const untils: number[] = [];
  if (rules.some(({ critical }) => critical)) {
    // What other agents had queued while a master was away is being sent just now.
    if (partitions.some(({ settlingUntil }) => now < settlingUntil)) return 0;
    untils.push(...partitions.map(({ freshCriticalUntil }) => freshCriticalUntil));
  }
  if (rules.some(({ critical }) => !critical))
    untils.push(...partitions.map(({ freshBulkUntil }) => freshBulkUntil));
  return untils.length === 0 ? 0 : Math.min(...untils);
}
