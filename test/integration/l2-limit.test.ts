import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { Cluster, type Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ChangePart, L2, L2_DEFAULTS } from '../../agent/l2/l2.ts';
import { defineScripts } from '../../agent/l2/scripts.ts';
import { splitHostPort } from '../../api/redis.ts';
import { until } from '../../hack/local/children.ts';
import { RedisCluster } from '../../hack/local/redis-cluster.ts';
import { RedisServer } from '../../hack/local/redis-server.ts';
import { recount } from '../support/l2-usage.ts';

const LONG_MS = 600_000;
const LIMITED = 'limited';
const FREE = 'free';
const PARTITIONS = 2;
const LIMIT = 1_500_000;
const SHARE = LIMIT / PARTITIONS;
const KEYS = 1_500;

let servers: RedisServer[] = [];
let ends: (() => Promise<void>)[] = [];
const clients: { name: string; client: Redis | Cluster; admins: () => Redis[] }[] = [];

beforeAll(async () => {
  const alone = await RedisServer.start();
  const cluster = await RedisCluster.start({ masters: 3, replicasPerMaster: 0 });
  await cluster.healthy();
  servers = [alone, ...cluster.servers];
  const many = new Cluster(cluster.nodes.map(splitHostPort));
  defineScripts(alone.admin);
  defineScripts(many);
  clients.push({ name: 'standalone', client: alone.admin, admins: () => [alone.admin] });
  clients.push({ name: 'Cluster', client: many, admins: () => cluster.servers.map(({ admin }) => admin) });
  ends = [async () => many.disconnect(), () => cluster.stop(), () => alone.stop()];
});

afterAll(async () => {
  for (const end of ends) await end();
});

function aCache(client: Redis | Cluster, limits: Record<string, number>, partitions = PARTITIONS): L2 {
  return new L2(() => client, {
    ...L2_DEFAULTS,
    cacheId: randomUUID(),
    partitions,
    fillLeaseMs: LONG_MS,
    limitOf: (namespace) => limits[namespace] ?? 0,
  });
}

function aPart(l2: L2, namespace: string, key: string): ChangePart {
  return {
    partition: l2.partitionOf(namespace, key),
    eventId: randomUUID(),
    body: '"data":{}}',
    keys: [],
    tagMarkers: [],
    namespaceMarkers: [],
    minReplicas: 0,
    confirm: false,
  };
}

function put(
  l2: L2,
  namespace: string,
  key: string,
  size: number,
  more: { ttlMs?: number; tag?: string; base?: string } = {},
) {
  const { ttlMs = LONG_MS, tag, base = '' } = more;
  const value = Buffer.alloc(size, 'v');
  const tags = tag === undefined ? [] : [tag];
  return l2.change({
    ...aPart(l2, namespace, key),
    put: {
      namespace,
      key,
      value,
      ttlMs,
      tags,
      ifVersion: '',
      base,
      push: false,
      compressAboveBytes: 0,
    },
  });
}

async function fill(l2: L2, namespace: string, key: string, size: number, ttlMs: number): Promise<void> {
  const partition = l2.partitionOf(namespace, key);
  const [found] = await l2.read(partition, [{ namespace, key, leaseToken: randomUUID() }]);
  if (found === undefined || found.entry !== undefined || found.leaseToken === '') return;
  const value = Buffer.alloc(size, 'f');
  await l2.fill({
    namespace,
    key,
    value,
    ttlMs,
    tags: [],
    absent: false,
    leaseToken: found.leaseToken,
    compressAboveBytes: 0,
  });
}

const step = fc.record({
  kind: fc.constantFrom('put', 'put', 'put', 'fill', 'fill', 'read', 'key', 'tag', 'namespace'),
  namespace: fc.constantFrom(LIMITED, FREE),
  key: fc.integer({ min: 0, max: KEYS - 1 }).map((n) => `some/key:${n}`),
  size: fc.oneof(fc.integer({ min: 100, max: 3_000 }), fc.integer({ min: 100, max: 60_000 })),
  ttlMs: fc.constantFrom(5, 200, LONG_MS, LONG_MS, LONG_MS),
  tag: fc.constantFrom('red', 'green'),
  rare: fc.nat({ max: 400 }),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

async function play(l2: L2, { kind, namespace, key, size, ttlMs, tag, rare }: Step) {
  const part = aPart(l2, namespace, key);
  const partition = part.partition;
  if (kind === 'put') return put(l2, namespace, key, size, { ttlMs, tag });
  if (kind === 'fill') return fill(l2, namespace, key, size, ttlMs);
  if (kind === 'read') return l2.read(partition, [{ namespace, key, leaseToken: '' }]);
  if (kind === 'key')
    return l2.change({
      ...part,
      keys: [
        { namespace, key },
        { namespace, key: 'unknown' },
      ],
    });
  if (kind === 'tag' && rare < 4) return l2.change({ ...part, tagMarkers: [{ namespace, tag }] });
  if (kind === 'namespace' && rare < 4) return l2.change({ ...part, namespaceMarkers: [namespace] });
  return undefined;
}

async function expectAccounts(l2: L2, admins: Redis[]): Promise<void> {
  for (let partition = 0; partition < PARTITIONS; partition++) {
    // Whatever had a short life is over, so that both counts see the same.
    const usage = await l2.usage(partition);
    for (const namespace of [LIMITED, FREE]) {
      const counted = await recount(admins, l2, partition, namespace);
      const account = usage.get(namespace) ?? { bytes: 0, entries: 0, evictions: 0 };
      expect(account.bytes / counted.bytes).toBeGreaterThan(0.95);
      expect(account.bytes / counted.bytes).toBeLessThan(1.05);
      if (namespace === FREE) expect(account.evictions).toBe(0);
      else expect(counted.bytes).toBeLessThan(SHARE * 1.05 + counted.largest);
    }
  }
}

describe.each([0, 1])('the account of bytes in Redis, server %i', (which) => {
  const setUp = () => {
    const found = clients[which];
    if (found === undefined) throw new Error('not started');
    return found;
  };

  it('is within 5 % of a recount under random load, and within the limit', async () => {
    const { client, admins } = setUp();
    const seed = Number(process.env.SEED ?? Date.now() % 1e9);
    console.info(`SEED=${seed}`);
    const l2 = aCache(client, { [LIMITED]: LIMIT });
    const steps = fc.sample(step, { seed, numRuns: 12_000 });
    let over = 0;
    for (let i = 0; i < steps.length; i += 50) {
      await Promise.all(steps.slice(i, i + 50).map((one) => play(l2, one)));
      for (let partition = 0; partition < PARTITIONS; partition++) {
        const bytes = (await l2.usage(partition)).get(LIMITED)?.bytes ?? 0;
        if (bytes > SHARE) over += 1;
      }
      if (i % 3_000 === 0 && i > 0) {
        await until('short lives are over', async () => (await shortest(client, l2)) > 1_000);
        await expectAccounts(l2, admins());
      }
    }
    // No value is as large as a partition's share.
    expect(over).toBe(0);
    const evictions = await evictionsOf(l2);
    expect(evictions).toBeGreaterThan(500);
  });

  it('comes back to nothing when all has expired, though nobody writes', async () => {
    const { client } = setUp();
    const l2 = aCache(client, {}, 1);
    for (let i = 0; i < 1_200; i += 100) {
      await Promise.all(
        Array.from({ length: 100 }, (_, j) => put(l2, FREE, `k${i + j}`, 500, { ttlMs: 1_000 })),
      );
    }
    expect((await l2.usage(0)).get(FREE)?.bytes).toBeGreaterThan(0);
    await until('all has expired', async () => (await l2.usage(0)).get(FREE)?.bytes === 0);
    expect((await l2.usage(0)).get(FREE)?.entries).toBe(0);
  });
});

/** Milliseconds that the shortest of the entries' lives has left, as the accounts know them. */
async function shortest(client: Redis | Cluster, l2: L2): Promise<number> {
  let least = LONG_MS;
  for (let partition = 0; partition < PARTITIONS; partition++) {
    await l2.usage(partition);
    for (const namespace of [LIMITED, FREE]) {
      const index = `ec:{${l2.keysOf(partition).hashTag}}:x:${namespace}`;
      const [, score] = await client.zrangebyscore(index, '-inf', '+inf', 'WITHSCORES', 'LIMIT', 0, 1);
      if (score !== undefined) least = Math.min(least, Number(score) - Date.now());
    }
  }
  return least;
}

async function evictionsOf(l2: L2): Promise<number> {
  let sum = 0;
  for (let partition = 0; partition < l2.options.partitions; partition++)
    sum += (await l2.usage(partition)).get(LIMITED)?.evictions ?? 0;
  return sum;
}

describe('eviction in Redis', () => {
  const client = (): Redis => {
    const [alone] = servers;
    if (alone === undefined) throw new Error('not started');
    return alone.admin;
  };
  const standing = async (l2: L2, keys: string[]) => {
    const found = await l2.read(
      0,
      keys.map((key) => ({ namespace: LIMITED, key, leaseToken: '' })),
    );
    return found.filter(({ entry }) => entry !== undefined).length;
  };

  it('takes what was not read for longest', async () => {
    const l2 = aCache(client(), { [LIMITED]: 600_000 }, 1);
    const cold = Array.from({ length: 250 }, (_, i) => `cold${i}`);
    const hot = Array.from({ length: 100 }, (_, i) => `hot${i}`);
    for (const key of [...hot, ...cold]) await put(l2, LIMITED, key, 1_000);
    await until('the cold ones have been idle', async () => {
      expect(await standing(l2, hot)).toBe(100);
      return Number(await client().object('IDLETIME', l2.keysOf(0).entry(LIMITED, 'cold0'))) >= 3;
    });
    for (let i = 0; i < 150; i++) await put(l2, LIMITED, `new${i}`, 1_000);
    // Candidates are drawn at random: now and then none of ten is cold.
    expect(await standing(l2, hot)).toBeGreaterThanOrEqual(95);
    expect(await standing(l2, cold)).toBeLessThan(180);
  });

  it('never takes what has just been written, however large', async () => {
    const l2 = aCache(client(), { [LIMITED]: 50_000 }, 1);
    for (let i = 0; i < 30; i++) await put(l2, LIMITED, `k${i}`, 1_000);
    await put(l2, LIMITED, 'large', 200_000);
    expect(await standing(l2, ['large'])).toBe(1);
    expect((await l2.usage(0)).get(LIMITED)?.entries).toBe(1);
    await put(l2, LIMITED, 'k1', 1_000);
    expect(await standing(l2, ['large'])).toBe(0);
    expect(await standing(l2, ['k1'])).toBe(1);
  });

  it('does not let a put that waited bring back what was older than the evicted', async () => {
    const l2 = aCache(client(), { [LIMITED]: 20_000 }, 1);
    const { version: base } = await put(l2, LIMITED, 'k', 1_000);
    await put(l2, LIMITED, 'k', 2_000);
    for (let i = 0; (await standing(l2, ['k'])) === 1 && i < 2_000; i++)
      await put(l2, LIMITED, `o${i}`, 5_000);
    expect(await standing(l2, ['k'])).toBe(0);
    const { outcome } = await put(l2, LIMITED, 'k', 1_000, { base });
    expect(outcome).toBe('superseded');
    expect(await standing(l2, ['k'])).toBe(0);
  });

  it('takes off first what something else deleted', async () => {
    const l2 = aCache(client(), { [LIMITED]: 60_000 }, 1);
    for (let i = 0; i < 40; i++) await put(l2, LIMITED, `k${i}`, 1_000);
    for (let i = 0; i < 40; i++) await client().unlink(l2.keysOf(0).entry(LIMITED, `k${i}`));
    const { evictions } = (await l2.usage(0)).get(LIMITED) ?? { evictions: 0 };
    for (let i = 0; i < 20; i++) await put(l2, LIMITED, `n${i}`, 1_000);
    expect((await l2.usage(0)).get(LIMITED)?.evictions).toBe(evictions);
    const names = Array.from({ length: 20 }, (_, i) => `n${i}`);
    expect(await standing(l2, names)).toBe(20);
  });

  it('leaves markers, leases, log and versions alone, and a fill under way valid', async () => {
    const l2 = aCache(client(), { [LIMITED]: 20_000 }, 1);
    const lease = randomUUID();
    await l2.read(0, [{ namespace: LIMITED, key: 'mine', leaseToken: lease }]);
    await l2.change({ ...aPart(l2, LIMITED, ''), tagMarkers: [{ namespace: LIMITED, tag: 'red' }] });
    const before = await l2.head(0);
    for (let i = 0; i < 200; i++) await put(l2, LIMITED, `o${i}`, 1_000);
    const names = l2.keysOf(0);
    expect(await client().exists(names.lease(LIMITED, 'mine'), `${names.tagMarkerPrefix(LIMITED)}red`)).toBe(
      2,
    );
    expect((await l2.readLog(0, before.version, 1_000)).length).toBe(200);
    const value = Buffer.from('loaded');
    const request = {
      namespace: LIMITED,
      key: 'mine',
      value,
      ttlMs: LONG_MS,
      tags: [],
      absent: false,
      compressAboveBytes: 0,
    };
    expect(await l2.fill({ ...request, leaseToken: lease })).toBeDefined();
    // The tag was invalidated after the lease was given.
    const other = randomUUID();
    await l2.read(0, [{ namespace: LIMITED, key: 'other', leaseToken: other }]);
    await l2.change({ ...aPart(l2, LIMITED, ''), tagMarkers: [{ namespace: LIMITED, tag: 'red' }] });
    expect(await l2.fill({ ...request, key: 'other', tags: ['red'], leaseToken: other })).toBeUndefined();
  });
});
