import { setTimeout as sleep } from 'node:timers/promises';
import { anyJson } from '../../client/codec.ts';
import type { EdgeCacheClient } from '../../client/edge-cache-client.ts';
import type { Group, Row } from '../row.ts';
import { Stack } from '../stack.ts';

const NAMESPACE = 'gpu_pricing';
const AGENTS = 4;
const HOT_KEYS = 20;
const CHANGES_PER_SECOND = 100;
/** Lookups of each agent between two changes: each asks for every key about once per change of it. */
const LOOKUPS_PER_CHANGE = 10;

interface Counted {
  readonly l1HitPercent: number;
  readonly redisReadsPerChange: number;
}

/** Hot keys that change all the time, read on every node. */
async function underChurn(pushValueBytes: number, ms: number): Promise<Counted> {
  await using stack = new Stack();
  const redis = await stack.redis();
  const file = {
    redis: { nodes: [`127.0.0.1:${redis.port}`] },
    namespaces: [{ name: NAMESPACE, pushValueBytes }],
  };
  const names = Array.from({ length: AGENTS }, (_, i) => `agent-${i}`);
  const agents = await Promise.all(names.map((nodeId) => stack.agent({ nodeId, file })));
  const clients = agents.map(({ address }) => stack.client(address));
  const price = (at: number) => ({ gpu: `gpu_${at % HOT_KEYS}`, perHour: at, currency: 'USD' });
  const change = (at: number) => clients[at % AGENTS]?.put(NAMESPACE, `k${at % HOT_KEYS}`, price(at));
  for (let at = 0; at < HOT_KEYS; at++) await change(at);
  const before = await countReads(clients);
  const beganAt = performance.now();
  let changes = 0;
  let lookups = 0;
  for (let at = 0; performance.now() - beganAt < ms; at++) {
    await change(at);
    changes += 1;
    await Promise.all(
      clients.flatMap((client) =>
        Array.from({ length: LOOKUPS_PER_CHANGE }, () =>
          client.get(NAMESPACE, `k${lookups++ % HOT_KEYS}`, { codec: anyJson }),
        ),
      ),
    );
    // Paced by the time that has passed: what is late is not made up for.
    const ahead = (at + 1) * (1000 / CHANGES_PER_SECOND) - (performance.now() - beganAt);
    if (ahead > 0) await sleep(ahead);
  }
  const after = await countReads(clients);
  const hits = after.l1 - before.l1;
  const reads = after.l2 - before.l2;
  return { l1HitPercent: (hits / (hits + reads)) * 100, redisReadsPerChange: reads / changes };
}

async function countReads(clients: readonly EdgeCacheClient[]) {
  let l1 = 0;
  let l2 = 0;
  for (const client of clients) {
    const stats = await client.stats();
    l1 += stats.l1?.hits ?? 0;
    l2 += (stats.l2?.hits ?? 0) + (stats.l2?.misses ?? 0);
  }
  return { l1, l2 };
}

export const churn: Group = {
  name: 'churn',
  about: `${HOT_KEYS} hot keys that change ${CHANGES_PER_SECOND} times a second in all, read on ${AGENTS} nodes; with and without pushValueBytes`,
  run: async ({ roundMs }): Promise<Row[]> => {
    const dropped = await underChurn(0, 2 * roundMs);
    const pushed = await underChurn(1_024, 2 * roundMs);
    const name = 'values not pushed';
    return [
      {
        what: 'hits in L1 under churn',
        unit: 'percent',
        ours: pushed.l1HitPercent,
        peer: { name, value: dropped.l1HitPercent },
      },
      {
        what: 'reads of Redis for each change',
        unit: 'reads',
        ours: pushed.redisReadsPerChange,
        peer: { name, value: dropped.redisReadsPerChange },
      },
    ];
  },
};
