import { setTimeout as sleep } from 'node:timers/promises';
import type { NamespaceSpec } from '../../api/namespace.ts';
import { anyJson } from '../../client/codec.ts';
import type { Group, Row } from '../row.ts';
import { Stack } from '../stack.ts';

const NAMESPACE = 'provider_status';
const KEYS = 100;
/** Of them, so many change all the time; the others never. */
const MOVING = 10;
const CHANGES_PER_SECOND = 20;
const TTL_SECONDS = 1;
const ROUNDS_PER_SECOND = 20;

interface Counted {
  readonly loadsPerSecond: number;
  readonly hitPercent: number;
}

/** Every key is read many times a second; what is not there is loaded from the source of truth. */
async function withTtl(adaptiveTtl: NamespaceSpec['adaptiveTtl'], ms: number): Promise<Counted> {
  await using stack = new Stack();
  const redis = await stack.redis();
  const namespace = { name: NAMESPACE, ttlSeconds: TTL_SECONDS, l1TtlSeconds: TTL_SECONDS };
  const file = {
    redis: { nodes: [`127.0.0.1:${redis.port}`] },
    namespaces: [adaptiveTtl === undefined ? namespace : { ...namespace, adaptiveTtl }],
  };
  const client = stack.client((await stack.agent({ nodeId: 'agent', file })).address);
  let loads = 0;
  const load = async () => {
    loads += 1;
    return { at: loads };
  };
  let reads = 0;
  let changes = 0;
  const beganAt = performance.now();
  for (let round = 0; performance.now() - beganAt < ms; round++) {
    for (; changes < ((performance.now() - beganAt) / 1000) * CHANGES_PER_SECOND; changes++)
      await client.put(NAMESPACE, `k${changes % MOVING}`, { at: changes });
    await Promise.all(
      Array.from({ length: KEYS }, (_, i) => client.getOrLoad(NAMESPACE, `k${i}`, load, { codec: anyJson })),
    );
    reads += KEYS;
    const ahead = (round + 1) * (1000 / ROUNDS_PER_SECOND) - (performance.now() - beganAt);
    if (ahead > 0) await sleep(ahead);
  }
  return { loadsPerSecond: loads / (ms / 1000), hitPercent: 100 * (1 - loads / reads) };
}

export const ttl: Group = {
  name: 'ttl',
  about: `${KEYS} keys of ${TTL_SECONDS} s, each read ${ROUNDS_PER_SECOND} times a second, ${MOVING} of them changing; with and without adaptiveTtl of 1 to 60 s`,
  run: async ({ roundMs }): Promise<Row[]> => {
    // Long enough for several lives of an entry.
    const ms = Math.max(20_000, 10 * roundMs);
    const fixed = await withTtl(undefined, ms);
    const adaptive = await withTtl({ minSeconds: 1, maxSeconds: 60 }, ms);
    const name = 'fixed TTL';
    return [
      {
        what: 'loads from the source of truth, a second',
        unit: 'reads',
        ours: adaptive.loadsPerSecond,
        peer: { name, value: fixed.loadsPerSecond },
      },
      { what: 'hits', unit: 'percent', ours: adaptive.hitPercent, peer: { name, value: fixed.hitPercent } },
    ];
  },
};
