import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { until } from '../../hack/local/children.ts';
import { AnApplication, type Price, price, seen } from '../testing/an-application.ts';
import { FakeAgent } from '../testing/fake-agent.ts';

let agent: FakeAgent;
let app: AnApplication;

beforeEach(async () => {
  agent = await FakeAgent.start();
  app = new AnApplication(agent);
});

afterEach(async () => {
  await app.close();
  agent.stop();
});

describe('phase observe', () => {
  it('answers with the existing cache alone, and counts what was stale', async () => {
    const { migration, prices } = app.migrate();
    app.truth.set('k', price(2));
    app.old.entries.set('k', price(1));
    expect(await prices.get('k')).toEqual(price(1));
    await migration.idle();
    expect(seen(migration).existing).toMatchObject({ compared: 1, stale: 1, staleShare: 1 });
    expect(agent.received).toEqual([]);
  });

  it('counts answers that agree, and none of what the cache has not', async () => {
    const { migration, prices } = app.migrate();
    app.truth.set('k', price(1));
    app.old.entries.set('k', price(1));
    await prices.get('k');
    expect(await prices.get('none')).toBeUndefined();
    await migration.idle();
    expect(seen(migration)).toMatchObject({
      reads: { existingHits: 1, existingMisses: 1 },
      existing: { compared: 1, agreed: 1, stale: 0 },
    });
  });

  it('leaves writes, fills and deletes to the existing cache', async () => {
    const { migration, prices } = app.migrate();
    await prices.write('a', price(1));
    await prices.fill('b', price(1));
    await prices.delete('a');
    await migration.idle();
    expect(app.old.calls).toEqual(['set a', 'set b', 'delete a']);
    expect(agent.received).toEqual([]);
  });

  it('lets its caller see the existing cache’s own failures, as before', async () => {
    const { prices } = app.migrate();
    app.old.failure = new Error('Redis down');
    await expect(prices.get('k')).rejects.toThrow('Redis down');
    await expect(prices.delete('k')).rejects.toThrow('Redis down');
  });

  it('loads past an existing cache that fails', async () => {
    const { migration, prices } = app.migrate();
    app.truth.set('k', price(1));
    app.old.failure = new Error('Redis down');
    expect(await prices.getOrLoad('k')).toEqual(price(1));
    expect(seen(migration).existingErrors).toBe(2);
  });

  it('fills the existing cache with what it has loaded', async () => {
    const { prices } = app.migrate();
    app.truth.set('k', price(1));
    expect(await prices.getOrLoad('k')).toEqual(price(1));
    expect(app.old.entries.get('k')).toEqual(price(1));
    expect(await prices.getOrLoad('none')).toBeUndefined();
    expect(app.old.entries.has('none')).toBe(false);
  });

  it('compares only the share that is asked for', async () => {
    const draws = [0.5, 0.09, 0.1];
    const { migration, prices } = app.migrate({ sampleShare: 0.1, random: () => draws.shift() ?? 1 });
    app.truth.set('k', price(1));
    app.old.entries.set('k', price(1));
    for (let i = 0; i < 3; i++) await prices.get('k');
    await migration.idle();
    expect(seen(migration).existing.compared).toBe(1);
  });
});

describe('what goes wrong beside the existing path', () => {
  it('is not felt by readers: a source that hangs, that throws, hooks that throw', async () => {
    const hang = () => new Promise<Price>(() => undefined);
    const fail = () => {
      throw new Error('no such table');
    };
    for (const [load, message] of [
      [hang, 'the source of truth did not answer in time'],
      [fail, 'no such table'],
    ] as const) {
      const on = { comparisonFailed: fail, judged: fail };
      const { migration, prices } = app.migrate({ deadlineMs: 20, on }, { load });
      app.old.entries.set('k', price(1));
      expect(await prices.get('k')).toEqual(price(1));
      await migration.idle();
      expect(seen(migration).existing).toMatchObject({ compared: 0, errors: 1, lastError: message });
    }
  });

  it('ends at its deadline where Edge Cache is to load from a source that hangs', async () => {
    const load = () => new Promise<Price>(() => undefined);
    const { migration, prices } = app.migrate({ phase: 'publish', deadlineMs: 50, maxAtOnce: 1 }, { load });
    app.old.entries.set('k', price(1));
    for (let i = 0; i < 3; i++) await prices.get('k');
    await migration.idle();
    expect(seen(migration).existing.errors).toBe(3);
    expect(seen(migration).edge).toMatchObject({ compared: 0, errors: 3 });
  });

  it('does nothing before the reader has its answer', async () => {
    let asked = 0;
    const load = async () => {
      asked += 1;
      return price(1);
    };
    const { migration, prices } = app.migrate({}, { load });
    app.old.entries.set('k', price(1));
    await prices.get('k');
    expect(asked).toBe(0);
    await migration.idle();
    expect(asked).toBe(1);
  });

  it('is bounded: comparisons beyond the bound are dropped and counted', async () => {
    let release: (value: Price) => void = () => undefined;
    const load = () => new Promise<Price>((resolve) => (release = resolve));
    const { migration, prices } = app.migrate({ maxComparisons: 1 }, { load });
    app.old.entries.set('k', price(1));
    for (let i = 0; i < 5; i++) await prices.get('k');
    await until('the source is asked', () => release.length === 1);
    release(price(1));
    await migration.idle();
    expect(seen(migration).existing).toMatchObject({ compared: 1, agreed: 1, dropped: 4 });
  });

  it('asks the source no more often at once than it may', async () => {
    let now = 0;
    let most = 0;
    const load = async () => {
      now += 1;
      most = Math.max(most, now);
      await new Promise((resolve) => setImmediate(resolve));
      now -= 1;
      return price(1);
    };
    const { migration, prices } = app.migrate({ maxAtOnce: 2 }, { load });
    app.old.entries.set('k', price(1));
    for (let i = 0; i < 20; i++) await prices.get('k');
    await migration.idle();
    expect(most).toBe(2);
    expect(seen(migration).existing.agreed).toBe(20);
  });
});

describe('a migration', () => {
  it('refuses settings that are none, naming each', async () => {
    expect(() => app.migrate({ sampleShare: 2 })).toThrow('sampleShare: got 2; must be a number from 0 to 1');
    const { migration, prices } = app.migrate();
    const wrong = { phase: 'reed' as 'read', edgeShare: Number.NaN };
    await expect(migration.configure(wrong)).rejects.toThrow(
      'phase: got "reed"; must be observe, publish, read, alone\n  edgeShare: got NaN; must be a number from 0 to 1',
    );
    expect(prices.settings).toEqual({ phase: 'observe', edgeShare: 0, sampleShare: 1 });
  });

  it('has one cache for each namespace, which may be ahead of the others', async () => {
    const { migration, prices } = app.migrate();
    expect(() => migration.cache(app.namespace, { existing: app.old, load: async () => undefined })).toThrow(
      'migrated already',
    );
    const others = migration.cache<Price>('others', { existing: app.old, load: async () => undefined });
    await prices.configure({ phase: 'publish' });
    expect([prices.settings.phase, others.settings.phase]).toEqual(['publish', 'observe']);
  });

  it('compares nothing after it was closed, and goes on answering', async () => {
    const { migration, prices } = app.migrate();
    app.old.entries.set('k', price(1));
    await migration.close();
    expect(await prices.get('k')).toEqual(price(1));
    expect(seen(migration).existing).toMatchObject({ compared: 0, dropped: 1 });
  });
});
