import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ChangeResponse } from '../../proto/gen/edgecache/v1/edgecache.ts';
import { AnApplication, price, seen } from '../testing/an-application.ts';
import { FakeAgent, fails } from '../testing/fake-agent.ts';

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

describe('phase publish', () => {
  it('tells Edge Cache of changes, and forgets what that held before', async () => {
    const { migration, prices } = app.migrate({ phase: 'publish' });
    await migration.idle();
    await prices.write('a', price(1));
    await prices.delete('b', { tags: ['type:H100'] });
    await migration.idle();
    expect(app.invalidations()).toEqual([
      { keys: [], tags: [] },
      { keys: ['a', 'b'], tags: ['type:H100'] },
    ]);
    expect(app.old.calls).toEqual(['set a', 'delete b']);
  });

  it('judges what Edge Cache would have answered', async () => {
    const { migration, prices } = app.migrate({ phase: 'publish' });
    await migration.idle();
    app.truth.set('k', price(1));
    app.old.entries.set('k', price(1));
    // The first read lets Edge Cache load it, the second finds it there.
    for (let i = 0; i < 2; i++) {
      await prices.get('k');
      await migration.idle();
    }
    app.truth.set('k', price(2));
    await prices.delete('k');
    app.old.entries.set('k', price(2));
    await migration.idle();
    await prices.get('k');
    await migration.idle();
    expect(seen(migration).edge).toMatchObject({ compared: 1, agreed: 1, stale: 0 });
    // A change that nobody told it of.
    app.truth.set('k', price(3));
    await prices.get('k');
    await migration.idle();
    expect(seen(migration).edge).toMatchObject({ compared: 2, stale: 1 });
  });

  it('keeps failures from whoever writes, and counts them', async () => {
    const failed: unknown[] = [];
    const { migration, prices } = app.migrate({
      phase: 'publish',
      on: { changeFailed: (_, error) => failed.push(error) },
    });
    await migration.idle();
    agent.next('invalidate', fails(status.INVALID_ARGUMENT, 'no such thing'));
    await prices.delete('k');
    await migration.idle();
    expect(seen(migration).changes).toMatchObject({ sent: 1, failed: 1, lastError: 'no such thing' });
    expect(failed.length).toBe(1);
  });

  it('bounds what waits, and counts what it drops', async () => {
    let dropped = 0;
    const on = { changesDropped: (_: string, count: number) => (dropped += count) };
    const { migration, prices } = app.migrate({ phase: 'publish', maxWaitingChanges: 3, on });
    await Promise.all(['a', 'a', 'b', 'c', 'd', 'e'].map((key) => prices.delete(key)));
    expect(seen(migration).changes).toMatchObject({ waiting: 4, dropped: 2 });
    await migration.idle();
    expect(dropped).toBe(2);
    expect(seen(migration).changes).toMatchObject({ waiting: 0, sent: 4 });
  });
});

describe('phase read', () => {
  it('reads the chosen share of the keys through Edge Cache, which loads from the source', async () => {
    const { migration, prices } = app.migrate();
    await migration.configure({ phase: 'read', edgeShare: 0.5 });
    for (let i = 0; i < 100; i++) {
      app.old.entries.set(`k${i}`, price(1));
      app.truth.set(`k${i}`, price(2));
    }
    const values = await Promise.all(Array.from({ length: 100 }, (_, i) => prices.get(`k${i}`)));
    const fresh = values.filter((value) => value?.version === 2).length;
    const { edge, existingHits, fallbacks } = seen(migration).reads;
    expect([edge, existingHits, fallbacks]).toEqual([fresh, 100 - fresh, 0]);
    expect(fresh).toBeGreaterThan(30);
    expect(fresh).toBeLessThan(70);
  });

  it('forgets what Edge Cache held before anybody reads there, and not again when the share grows', async () => {
    const { migration, prices } = app.migrate();
    await app.client.put(app.namespace, 'k', price(1));
    app.truth.set('k', price(2));
    await migration.configure({ phase: 'read', edgeShare: 0.999_999 });
    expect(await prices.get('k')).toEqual(price(2));
    await migration.configure({ edgeShare: 1 });
    expect(app.invalidations()).toEqual([{ keys: [], tags: [] }]);
  });

  it('is not gone to where that cannot be confirmed', async () => {
    const { migration, prices } = app.migrate();
    agent.next('invalidate', fails(status.UNAVAILABLE, 'Redis is away', 'EC_REDIS_UNAVAILABLE'));
    await expect(migration.configure({ phase: 'read', edgeShare: 1 })).rejects.toThrow('Redis is away');
    agent.next('invalidate', () => ChangeResponse.create({ state: 3 }));
    await expect(migration.configure({ phase: 'alone' })).rejects.toThrow('is not yet');
    expect(prices.settings).toMatchObject({ phase: 'observe', edgeShare: 0 });
  });

  it('falls back to the existing cache, and says why', async () => {
    const fellBack: unknown[] = [];
    const { migration, prices } = app.migrate({
      phase: 'read',
      edgeShare: 1,
      on: { fellBack: (_, why) => fellBack.push(why) },
    });
    app.old.entries.set('k', price(1));
    app.truth.set('k', price(1));
    agent.next('get', fails(status.INVALID_ARGUMENT, 'wrong'));
    expect(await prices.get('k')).toEqual(price(1));
    expect(seen(migration).reads).toMatchObject({ edge: 0, fallbacks: 1, lastFallback: 'wrong' });
    expect(await prices.getOrLoad('k')).toEqual(price(1));
    expect(seen(migration).reads).toMatchObject({ edge: 1, fallbacks: 1 });
    expect(fellBack.length).toBe(1);
  });

  it('lets nothing that the existing cache answers into Edge Cache', async () => {
    const { migration, prices } = app.migrate({ phase: 'read', edgeShare: 1 });
    app.old.entries.set('k', price(1));
    app.truth.set('k', price(2));
    agent.next('get', fails(status.INVALID_ARGUMENT, 'wrong'));
    expect(await prices.getOrLoad('k')).toEqual(price(1));
    await prices.fill('k', price(1));
    await migration.idle();
    expect(agent.stored(app.namespace, 'k')).toBe(JSON.stringify(price(2)));
  });

  it('changes both caches, and tells the caller where Edge Cache could not be told', async () => {
    const { prices } = app.migrate({ phase: 'read' });
    await prices.delete('k', { confirm: true });
    expect(app.invalidations()).toEqual([{ keys: ['k'], tags: [] }]);
    agent.next('invalidate', fails(status.INVALID_ARGUMENT, 'not told'));
    await expect(prices.write('k', price(1))).rejects.toThrow('not told');
    expect(app.old.calls).toEqual(['delete k', 'set k']);
    app.old.failure = new Error('Redis down');
    await expect(prices.delete('k')).rejects.toThrow('Redis down');
    expect(app.invalidations().length).toBe(3);
  });
});

describe('a change that the existing cache is not told of', () => {
  it('is told to Edge Cache alone, from phase publish on', async () => {
    const { migration, prices } = app.migrate();
    for (const phase of ['observe', 'publish', 'read', 'alone'] as const) {
      await migration.configure({ phase });
      await migration.idle();
      await prices.changed(phase);
      await migration.idle();
    }
    expect(app.old.calls).toEqual([]);
    const keys = app.invalidations().flatMap((one) => one.keys);
    expect(keys).toEqual(['publish', 'read', 'alone']);
  });
});

describe('phase alone', () => {
  it('asks the existing cache nothing, and deletes from it what changes', async () => {
    const { migration, prices } = app.migrate({ phase: 'alone' });
    app.truth.set('k', price(1));
    app.old.entries.set('k', price(0));
    expect(await prices.get('k')).toEqual(price(1));
    await prices.fill('k', price(0));
    expect(app.old.calls).toEqual([]);
    app.old.failure = new Error('Redis down');
    await prices.write('k', price(2));
    expect(app.old.calls).toEqual(['delete k']);
    expect(seen(migration).existingErrors).toBe(1);
  });

  it('has a way back to each phase', async () => {
    const { migration, prices } = app.migrate();
    app.truth.set('k', price(1));
    for (const phase of [
      'publish',
      'read',
      'alone',
      'read',
      'publish',
      'observe',
      'alone',
      'observe',
    ] as const) {
      await migration.configure({ phase, edgeShare: 1 });
      expect(await prices.getOrLoad('k')).toEqual(app.truth.get('k'));
      // Correctly invalidated, so no phase may answer with the old one.
      const next = price((app.truth.get('k')?.version ?? 0) + 1);
      app.truth.set('k', next);
      await prices.delete('k');
      expect(await prices.getOrLoad('k')).toEqual(next);
    }
    await migration.idle();
    expect(seen(migration).existing.stale + seen(migration).edge.stale).toBe(0);
  });
});
