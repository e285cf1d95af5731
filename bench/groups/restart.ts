import { setTimeout as sleep } from 'node:timers/promises';
import type { Preload } from '../../api/tier.ts';
import { Zipf } from '../../cli/bench/zipf.ts';
import { bytes } from '../../client/codec.ts';
import type { EdgeCacheClient } from '../../client/edge-cache-client.ts';
import { seededRandom } from '../../hack/demo/random.ts';
import type { Group, Row } from '../row.ts';
import { Stack } from '../stack.ts';

const NAMESPACE = 'provider_status';
const KEYS = 5_000;
const ENTRIES = 2_000;
const LOOKUPS_PER_SECOND = 500;
const VALUE = Buffer.alloc(512, 'x');
const BATCH_MS = 20;
/** Of use before the restart; agents report every 8 to 23 s. */
const USE_MS = 50_000;
const AFTER_MS = 10_000;

async function ask(client: EdgeCacheClient, ranks: Zipf, ms: number): Promise<void> {
  const beganAt = performance.now();
  for (let batch = 0; performance.now() - beganAt < ms; batch++) {
    const keys = Array.from({ length: (LOOKUPS_PER_SECOND * BATCH_MS) / 1000 }, () => `k${ranks.next()}`);
    await client.getMany(NAMESPACE, keys, { codec: bytes });
    const ahead = (batch + 1) * BATCH_MS - (performance.now() - beganAt);
    if (ahead > 0) await sleep(ahead);
  }
}

export const restart: Group = {
  name: 'restart',
  about: `an agent of ${ENTRIES} entries that was killed and started again, ${KEYS} keys by Zipf 0.9, ${LOOKUPS_PER_SECOND} lookups a second`,
  run: async ({ say }): Promise<Row[]> => {
    await using stack = new Stack();
    const redis = await stack.redis();
    const ranks = new Zipf(KEYS, 0.9, seededRandom(7));
    const agentOf = async (preload: Preload) => {
      const file = {
        region: 'us-east',
        redis: { nodes: [`127.0.0.1:${redis.port}`] },
        l1: { maxEntries: ENTRIES, preload },
        namespaces: [{ name: NAMESPACE, ttlSeconds: 3_600, l1TtlSeconds: 3_600 }],
      };
      const agent = await stack.agent({ nodeId: `with-${preload}`, file });
      return { agent, client: stack.client(agent.address) };
    };
    const first = await agentOf('hot');
    for (let i = 0; i < KEYS; i++) await first.client.put(NAMESPACE, `k${i}`, VALUE, { codec: bytes });
    say('in use');
    await ask(first.client, ranks, USE_MS);
    await first.agent.stop('SIGKILL');
    const after = async (preload: Preload) => {
      say(`killed and started again, preload ${preload}`);
      const { agent, client } = await agentOf(preload);
      await ask(client, ranks, AFTER_MS);
      const { l1 } = await client.stats();
      await agent.stop('SIGKILL');
      return (l1?.hitRatio ?? 0) * 100;
    };
    const [none, hot, predictive] = [await after('none'), await after('hot'), await after('predictive')];
    const peer = { name: 'preload: none', value: none };
    const what = `hits in memory in the first ${AFTER_MS / 1000} s`;
    return [
      { what: `${what}, preload: hot`, unit: 'percent', ours: hot, peer },
      { what: `${what}, preload: predictive`, unit: 'percent', ours: predictive, peer },
    ];
  },
};
