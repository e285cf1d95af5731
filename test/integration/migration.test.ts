import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import type { EdgeCacheClient } from '../../client/edge-cache-client.ts';
import {
  type MigratingCacheOptions,
  Migration,
  type MigrationOptions,
  redisJson,
} from '../../client/migration/migration.ts';
import { until } from '../../hack/local/children.ts';
import { RedisServer } from '../../hack/local/redis-server.ts';
import { standalone, startAgent } from '../support/cache.ts';

const price = z.object({ version: z.number(), changedAt: z.number() });
type Price = z.infer<typeof price>;

/** Stands for a database: what counts is only when it changes. */
class Database {
  readonly prices = new Map<string, Price>();

  set(key: string): Price {
    const next = { version: (this.prices.get(key)?.version ?? 0) + 1, changedAt: Date.now() };
    this.prices.set(key, next);
    return next;
  }
}

async function aWorld(agents = 1) {
  const redis = await RedisServer.start();
  onTestFinished(() => redis.stop());
  const started = await Promise.all(
    Array.from({ length: agents }, (_, i) =>
      startAgent({ file: { nodeId: `n${i}`, redis: standalone(redis.port) } }),
    ),
  );
  for (const one of started) onTestFinished(() => one.stop());
  return { redis, agents: started, database: new Database() };
}

type World = Awaited<ReturnType<typeof aWorld>>;

function migrate(
  { redis, database }: World,
  client: EdgeCacheClient | undefined,
  options: Partial<MigrationOptions> & { readonly ttlMs?: number },
  cache: Partial<MigratingCacheOptions<Price>> = {},
) {
  if (client === undefined) throw new Error('there are fewer agents');
  const migration = new Migration({
    client,
    sampleShare: 1,
    edgeDeadlineMs: 2_000,
    maxComparisons: 10_000,
    ...options,
  });
  onTestFinished(() => migration.close());
  const { ttlMs = 60_000 } = options;
  const prices = migration.cache<Price>('gpu_pricing', {
    existing: redisJson(redis.admin, { prefix: 'price:', ttlMs }, (value) => price.parse(value)),
    load: async (key) => database.prices.get(key),
    versionOf: ({ version }) => version,
    changedAt: ({ changedAt }) => changedAt,
    ...cache,
  });
  const report = () => {
    const [only] = migration.report().namespaces;
    if (only === undefined) throw new Error('one namespace');
    return only;
  };
  return { migration, prices, report };
}

describe('beside a cache that knows TTLs alone', () => {
  it('counts exactly the stale answers, with their ages, until the TTL has passed', async () => {
    const world = await aWorld();
    const { migration, prices, report } = migrate(world, world.agents[0]?.client, {
      ttlMs: 1_500,
      graceMs: 100,
    });
    for (const key of ['a', 'b', 'c']) world.database.set(key);
    for (const key of ['a', 'b', 'c']) await prices.getOrLoad(key);
    world.database.set('b');
    world.database.prices.delete('c');
    for (const key of ['a', 'b', 'c']) expect((await prices.get(key))?.version).toBe(1);
    await migration.idle();
    expect(report().existing).toMatchObject({ compared: 3, agreed: 1, stale: 2, inFlight: 0, errors: 0 });
    const ages = report().existing.ages.filter(({ count }) => count > 0);
    expect(ages.every(({ upToMs }) => upToMs <= 5_000)).toBe(true);
    await until('the TTL has passed', async () => (await prices.get('b')) === undefined);
    const { stale } = report().existing;
    expect((await prices.getOrLoad('b'))?.version).toBe(2);
    expect((await prices.get('b'))?.version).toBe(2);
    await migration.idle();
    expect(report().existing.agreed).toBeGreaterThan(1);
    expect(report().existing.stale).toBeGreaterThanOrEqual(stale);
  });

  it('raises no alarm where every change reaches it, though thousands of reads race them', async () => {
    const world = await aWorld();
    const { migration, prices, report } = migrate(world, world.agents[0]?.client, {});
    const keys = ['a', 'b', 'c'];
    for (const key of keys) await prices.write(key, world.database.set(key));
    let isWriting = true;
    const readers = keys.map(async (key) => {
      while (isWriting) await prices.get(key);
    });
    for (let i = 0; i < 300; i++) {
      const key = keys[i % keys.length] ?? '';
      await prices.write(key, world.database.set(key));
    }
    isWriting = false;
    await Promise.all(readers);
    await migration.idle();
    const { compared, stale, inFlight, agreed } = report().existing;
    expect({ stale }).toEqual({ stale: 0 });
    expect(agreed).toBeGreaterThan(300);
    expect(compared).toBe(agreed + inFlight);
  });
});

const FORWARD = [{ phase: 'publish' }, { phase: 'read' }, { edgeShare: 0.5 }, { phase: 'alone' }] as const;

describe('with real agents', () => {
  it('a change of one process is stale for no reader of another, from the second phase to the fourth', async () => {
    const world = await aWorld(2);
    const here = migrate(world, world.agents[0]?.client, { graceMs: 3_000 });
    const there = migrate(world, world.agents[1]?.client, { graceMs: 3_000 });
    const both = [here, there];
    const keys = Array.from({ length: 10 }, (_, i) => `k${i}`);
    for (const key of keys) world.database.set(key);
    const changeAndRead = async (changed: string) => {
      world.database.set(changed);
      const reads = keys.map((key) => there.prices.getOrLoad(key));
      await here.prices.changed(changed);
      expect(await Promise.all(reads)).not.toContain(undefined);
    };
    for (const settings of FORWARD) {
      for (const { migration } of both) await migration.configure(settings);
      for (let i = 0; i < 100; i++) await changeAndRead(`k${i % keys.length}`);
      for (const { migration } of both) await migration.idle();
    }
    const { edge, existing, changes, reads } = there.report();
    expect({ stale: edge.stale, errors: edge.errors, fallbacks: reads.fallbacks }).toEqual({
      stale: 0,
      errors: 0,
      fallbacks: 0,
    });
    expect(edge.agreed).toBeGreaterThan(500);
    // What it is measured against: the old cache was told nothing.
    expect(existing.stale).toBeGreaterThan(100);
    expect(changes).toMatchObject({ failed: 0, dropped: 0 });
  });

  it('an agent that goes away sends readers back to the existing cache, and fails nobody', async () => {
    const world = await aWorld(1);
    const client = world.agents[0]?.client;
    const { prices, report } = migrate(world, client, { phase: 'read', edgeShare: 1, sampleShare: 0 });
    world.database.set('k');
    await prices.fill('k', { version: 0, changedAt: 0 });
    expect((await prices.get('k'))?.version).toBe(1);
    await world.agents[0]?.agent.stop();
    expect((await prices.get('k'))?.version).toBe(0);
    expect(report().reads).toMatchObject({ edge: 1, fallbacks: 1 });
    // A change, though, cannot be told to anyone: its writer must know.
    await expect(prices.delete('k')).rejects.toMatchObject({ code: 'EC_CLIENT_AGENT_UNAVAILABLE' });
    expect(await world.redis.admin.exists('price:k')).toBe(0);
  });
});

describe('examples/migration', () => {
  it('runs, prints a report of each phase, and finds nothing stale in Edge Cache', async () => {
    const main = fileURLToPath(new URL('../../examples/migration/main.ts', import.meta.url));
    // The application has keys of its own in the same Redis, for which an agent's rights are not enough.
    const env = { ...process.env, TEST_REDIS_RIGHTS: 'all' };
    const { stdout } = await promisify(execFile)(process.execPath, [main, '--seconds', '1'], { env });
    expect(stdout.match(/^gpu_pricing: phase \w+/gm)).toEqual(
      ['observe', 'publish', 'read', 'read', 'alone', 'read'].map((phase) => `gpu_pricing: phase ${phase}`),
    );
    expect(stdout).toMatch(/stale answers of Edge Cache, in all phases: 0\n$/);
  });
});
