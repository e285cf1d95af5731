import calculateSlot from 'cluster-key-slot';
import type { Cluster, Redis } from 'ioredis';
import type { L2 } from '../l2/l2.ts';

/** Where a partition's master listens. `undefined` where there is only one, found by the connection itself. */
export interface Master {
  readonly host: string;
  readonly port: number;
}

/** The one master of a Redis that is not a cluster. */
export const SINGLE = 'single';

/** Which master serves which partitions: name of the master → its partitions. */
export interface Placement {
  readonly name: string;
  readonly master?: Master;
  readonly partitions: readonly number[];
}

/** Asks the cluster where each partition is now. @throws on any failure to learn it. */
export async function placePartitions(client: Redis | Cluster, l2: L2): Promise<Placement[]> {
  const all = Array.from({ length: l2.options.partitions }, (_, partition) => partition);
  if (!client.isCluster) return [{ name: SINGLE, partitions: all }];
  const ranges = parseSlots(await client.call('CLUSTER', 'SLOTS'));
  const byMaster = new Map<string, { master: Master; partitions: number[] }>();
  for (const partition of all) {
    const slot = calculateSlot(l2.keysOf(partition).hashTag);
    const range = ranges.find(({ from, to }) => slot >= from && slot <= to);
    // A slot without a master is one in failover; its partitions stay unsynced until it has one.
    if (range === undefined) continue;
    const name = `${range.host}:${range.port}`;
    const group = byMaster.get(name) ?? { master: { host: range.host, port: range.port }, partitions: [] };
    group.partitions.push(partition);
    byMaster.set(name, group);
  }
  return [...byMaster].map(([name, group]) => ({ name, ...group }));
}

interface SlotRange extends Master {
  readonly from: number;
  readonly to: number;
}

function parseSlots(reply: unknown): SlotRange[] {
  if (!Array.isArray(reply)) throw new Error('CLUSTER SLOTS gave no list');
  return reply.map((range: unknown) => {
    if (!Array.isArray(range) || !Array.isArray(range[2])) throw new Error('CLUSTER SLOTS gave no master');
    return {
      from: Number(range[0]),
      to: Number(range[1]),
      host: String(range[2][0]),
      port: Number(range[2][1]),
    };
  });
}
