import { Redis } from 'ioredis';
import { LRUCache } from 'lru-cache';
import { bytes } from '../client/codec.ts';
import { EdgeCacheClient } from '../client/edge-cache-client.ts';
import { table } from '../hack/demo/report.ts';
import { until } from '../hack/local/children.ts';
import { LocalAgent } from '../hack/local/local-agent.ts';
import { ensureRedisServer } from '../hack/local/redis-install.ts';
import { RedisServer } from '../hack/local/redis-server.ts';

const KEYS = 400;
const VALUE = Buffer.alloc(512, 'x');
const ROUND_MS = 700;
const ROUNDS = 5;
const NAMESPACE = 'gpu_avail';
const keyOf = (i: number) => `key-${i % KEYS}`;

/** Calls in so many milliseconds, with so many under way at any time; per second. */
async function rate(inFlight: number, call: (i: number) => Promise<unknown>): Promise<number> {
  const beganAt = performance.now();
  const endAt = beganAt + ROUND_MS;
  let calls = 0;
  const worker = async () => {
    while (performance.now() < endAt) {
      calls += 1;
      await call(calls);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  return (calls / (performance.now() - beganAt)) * 1000;
}

/** Medians of alternating rounds: what disturbs one disturbs the other. */
async function compare(
  inFlight: number,
  ours: (i: number) => Promise<unknown>,
  peer: (i: number) => Promise<unknown>,
): Promise<[number, number]> {
  const rates: [number[], number[]] = [[], []];
  for (let round = 0; round < ROUNDS; round++) {
    rates[0].push(await rate(inFlight, ours));
    rates[1].push(await rate(inFlight, peer));
  }
  return [median(rates[0]), median(rates[1])];
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

function row(name: string, [ours, peer]: [number, number]): string[] {
  const thousands = (value: number) => `${Math.round(value / 1000)} k/s`;
  return [name, thousands(ours), thousands(peer), `${(ours / peer).toFixed(2)}×`];
}

ensureRedisServer();
const redis = await RedisServer.start();
const agent = await LocalAgent.start({
  nodeId: 'bench',
  file: { redis: { nodes: [`127.0.0.1:${redis.port}`] } },
});
const options = { addresses: [agent.address], connectTimeoutMs: 2_000, deadlineMs: 10_000 };
const client = new EdgeCacheClient(options);
const near = new EdgeCacheClient({ ...options, near: { namespaces: { [NAMESPACE]: {} } } });
const peer = new Redis({ port: redis.port, enableAutoPipelining: true });
const lru = new LRUCache<string, Buffer>({ max: 1_000 });
for (let i = 0; i < KEYS; i++) {
  await client.put(NAMESPACE, keyOf(i), VALUE, { codec: bytes, ttlMs: 3_600_000 });
  await peer.set(keyOf(i), VALUE);
  lru.set(keyOf(i), VALUE);
}
const rows = [['lookups of 512 bytes', 'Edge Cache', 'peer', 'ratio']];
for (const inFlight of [1, 16, 64, 256]) {
  const ours = (i: number) => client.get(NAMESPACE, keyOf(i), { codec: bytes });
  const theirs = (i: number) => peer.getBuffer(keyOf(i));
  rows.push(
    row(
      `Lookup stream, ${inFlight} in flight; peer: ioredis auto-pipelining`,
      await compare(inFlight, ours, theirs),
    ),
  );
}
// A codec whose values may be shared, as JSON's may: what is measured is the cache, not parsing.
const shared = {
  encode: (value: string) => Buffer.from(value),
  decode: (value: Buffer) => value.toString('latin1'),
};
const load = async () => '';
const hit = (i: number) => near.getOrLoad(NAMESPACE, keyOf(i), load, { codec: shared });
await until('all is held', async () => {
  for (let i = 0; i < KEYS; i++) await hit(i);
  return (near.nearStats?.entries ?? 0) >= KEYS;
});
const hitsBefore = near.nearStats?.hits ?? 0;
const bare = async (i: number) => lru.get(keyOf(i));
rows.push(
  row('near-cache hit (getOrLoad, awaited); peer: lru-cache behind await', await rateOfHits(hit, bare)),
);
process.stdout.write(`${table(rows).join('\n')}\n`);
process.stdout.write(`near hits ${(near.nearStats?.hits ?? 0) - hitsBefore}\n`);
near.close();
client.close();
peer.disconnect();
await agent.stop();
await redis.stop();
process.exit();

/** Hits are microtasks alone: leases would never be renewed without a turn of the event loop now and then. */
async function rateOfHits(
  ours: (i: number) => Promise<unknown>,
  theirs: (i: number) => Promise<unknown>,
): Promise<[number, number]> {
  const measure = async (call: (i: number) => Promise<unknown>) => {
    const beganAt = performance.now();
    let calls = 0;
    while (performance.now() - beganAt < ROUND_MS) {
      for (let i = 0; i < 20_000; i++) await call(i);
      calls += 20_000;
      await new Promise((resolve) => setImmediate(resolve));
    }
    return (calls / (performance.now() - beganAt)) * 1000;
  };
  const rates: [number[], number[]] = [[], []];
  for (let round = 0; round < ROUNDS; round++) {
    rates[0].push(await measure(ours));
    rates[1].push(await measure(theirs));
  }
  return [median(rates[0]), median(rates[1])];
}
