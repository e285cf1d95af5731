import type { L2, NamespaceUsage } from './l2.ts';

/** What each namespace takes in Redis, all partitions together. @throws RedisUnavailableError, RedisRefusedError */
export async function readUsage(l2: L2): Promise<ReadonlyMap<string, NamespaceUsage>> {
  const sums = new Map<string, NamespaceUsage>();
  // One after another: figures are in no hurry, and lookups are.
  for (let partition = 0; partition < l2.options.partitions; partition++) {
    for (const [namespace, { bytes, entries, evictions }] of await l2.usage(partition)) {
      const sum = sums.get(namespace) ?? { bytes: 0, entries: 0, evictions: 0 };
      sums.set(namespace, {
        bytes: sum.bytes + bytes,
        entries: sum.entries + entries,
        evictions: sum.evictions + evictions,
      });
    }
  }
  return sums;
}
