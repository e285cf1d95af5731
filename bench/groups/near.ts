import { LRUCache } from 'lru-cache';
import { bytes } from '../../client/codec.ts';
import { until } from '../../hack/local/children.ts';
import { inTurns, rateOfMicrotasks } from '../measure.ts';
import { bentoInMemory } from '../peers/bentocache.ts';
import type { Group } from '../row.ts';
import { KEYS, keyOf, NAMESPACE, Stack, VALUE } from '../stack.ts';

/** Values that may be shared, as those of the JSON codec may: what is measured is the cache, not parsing. */
const shared = {
  encode: (value: string) => Buffer.from(value),
  decode: (value: Buffer) => value.toString('latin1'),
};

export const near: Group = {
  name: 'near',
  about: 'a hit in the application’s own process, awaited',
  run: async ({ rounds, roundMs }) => {
    await using stack = new Stack();
    const redis = await stack.redis();
    const agent = await stack.agent({
      nodeId: 'bench',
      file: { redis: { nodes: [`127.0.0.1:${redis.port}`] } },
    });
    const client = stack.client(agent.address, { near: { namespaces: { [NAMESPACE]: {} } } });
    const bento = await bentoInMemory(1_000);
    stack.defer(() => bento.disconnectAll());
    const lru = new LRUCache<string, string>({ max: 1_000 });
    for (let i = 0; i < KEYS; i++) {
      await client.put(NAMESPACE, keyOf(i), VALUE, { codec: bytes, ttlMs: 3_600_000 });
      await bento.set({ key: keyOf(i), value: VALUE.toString('latin1'), ttl: '1h' });
      lru.set(keyOf(i), VALUE.toString('latin1'));
    }
    const factory = async () => '';
    const options = { codec: shared };
    const hit = (i: number) => client.getOrLoad(NAMESPACE, keyOf(i), factory, options);
    await until('all is held', async () => {
      for (let i = 0; i < KEYS; i++) await hit(i);
      return (client.nearStats?.entries ?? 0) >= KEYS;
    });
    const [ours = 0, bentos = 0, bare = 0] = await inTurns(rounds, [
      () => rateOfMicrotasks(roundMs, hit),
      () => rateOfMicrotasks(roundMs, (i) => bento.getOrSet({ key: keyOf(i), factory, ttl: '1h' })),
      () => rateOfMicrotasks(roundMs, async (i) => lru.get(keyOf(i))),
    ]);
    const what = 'near-cache hit';
    return [
      {
        what,
        unit: 'per second',
        ours,
        peer: { name: 'bentocache memory hit', value: bentos },
        goal: { text: '≥ 8×', met: ours >= 8 * bentos },
      },
      { what, unit: 'per second', ours, peer: { name: 'bare lru-cache behind await', value: bare } },
    ];
  },
};
