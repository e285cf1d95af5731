import type { Redis } from 'ioredis';
import type { L2 } from '../../agent/l2/l2.ts';

/** Places in the tables of keys and of expiry times, as used_memory grows by; MEMORY USAGE does not count them. */
const TABLE_BYTES = 70;

/** What a namespace takes in one partition, by looking at every key there is. */
export async function recount(
  servers: readonly Redis[],
  l2: L2,
  partition: number,
  namespace: string,
): Promise<{ bytes: number; entries: number; largest: number }> {
  const base = `ec:{${l2.keysOf(partition).hashTag}}`;
  const total = { bytes: 0, entries: 0, largest: 0 };
  for (const server of servers) {
    const names: string[] = [];
    for await (const page of server.scanStream({ match: `${base}:e:${namespace}:*`, count: 1_000 }))
      names.push(...page);
    const sizes = await Promise.all([...new Set(names)].map((name) => server.memory('USAGE', name)));
    for (const size of sizes) {
      // It may have expired since the scan.
      if (size === null) continue;
      total.entries += 1;
      total.bytes += size + TABLE_BYTES;
      total.largest = Math.max(total.largest, size);
    }
    // Another master of a cluster does not have it, and would only say where it is.
    if (names.length > 0)
      total.bytes += (await server.memory('USAGE', `${base}:x:${namespace}`, 'SAMPLES', 0)) ?? 0;
  }
  return total;
}
