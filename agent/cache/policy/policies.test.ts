import { describe, expect, it } from 'vitest';
import type { L1Policy } from '../../../api/tier.ts';
import type { BoundedStore } from '../store.ts';
import { createStore } from './create-store.ts';
import { hashKey } from './key-hash.ts';

const VALUE = {};

function aStore(policy: L1Policy, maxEntries: number): BoundedStore<object> {
  return createStore(policy, { maxEntries, maxWeight: Number.MAX_SAFE_INTEGER });
}

function request(store: BoundedStore<object>, key: string): boolean {
  if (store.get(key) !== undefined) return true;
  store.set(key, VALUE, 1);
  return false;
}

/** Fills a store up with keys that are used once each. */
function fill(store: BoundedStore<object>, count: number, name = 'once'): void {
  for (let i = 0; i < count; i++) request(store, `${name}${i}`);
}

describe('lru', () => {
  it('lets go of what was used longest ago', () => {
    const store = aStore('lru', 3);
    for (const key of ['a', 'b', 'c', 'a', 'd']) request(store, key);
    expect([...store.entries()].map(([key]) => key)).toEqual(['d', 'a', 'c']);
  });
});

describe('s3fifo', () => {
  it('lets new keys go that were not used again, before older ones that were', () => {
    const store = aStore('s3fifo', 100);
    for (let use = 0; use < 3; use++) for (let i = 0; i < 20; i++) request(store, `used${i}`);
    fill(store, 1_000);
    for (let i = 0; i < 20; i++) expect(store.peek(`used${i}`)).toBeDefined();
  });

  it('takes a key that comes back soon after it has left for one worth keeping', () => {
    const store = aStore('s3fifo', 100);
    fill(store, 200);
    request(store, 'back');
    fill(store, 20, 'more');
    expect(store.peek('back')).toBeUndefined();
    request(store, 'back');
    fill(store, 50, 'yet more');
    expect(store.peek('back')).toBeDefined();
  });

  it('forgets uses of the past: what was popular leaves once others are', () => {
    const store = aStore('s3fifo', 100);
    for (let use = 0; use < 5; use++) for (let i = 0; i < 90; i++) request(store, `old${i}`);
    for (let use = 0; use < 20; use++) for (let i = 0; i < 90; i++) request(store, `new${i}`);
    const kept = Array.from({ length: 90 }, (_, i) => store.peek(`new${i}`)).filter(Boolean);
    expect(kept.length).toBeGreaterThanOrEqual(85);
  });
});

describe('tinylfu', () => {
  it('admits only what was used more often than what would have to leave', () => {
    const store = aStore('tinylfu', 100);
    for (let use = 0; use < 4; use++) for (let i = 0; i < 90; i++) request(store, `used${i}`);
    fill(store, 400);
    const kept = Array.from({ length: 90 }, (_, i) => store.peek(`used${i}`)).filter(Boolean);
    expect(kept.length).toBeGreaterThanOrEqual(85);
    for (let use = 0; use < 8; use++) request(store, 'popular');
    fill(store, 20, 'more');
    expect(store.peek('popular')).toBeDefined();
  });

  it('widens its window where recency is what counts', () => {
    const store = aStore('tinylfu', 200);
    let hits = 0;
    const requests = 60_000;
    // Keys are asked for again a short while after their first use, and never later: a window can hold them that long.
    for (let i = 0; i < requests; i++) {
      const age = Math.floor(100 ** uniform(i));
      if (request(store, `k${Math.floor(i / 4) - age}`) && i >= requests / 2) hits += 1;
    }
    expect(hits / (requests / 2)).toBeGreaterThan(0.6);
  });
});

describe('default', () => {
  it.each(['lru', 'tinylfu'] as const)('does about as well as %s where that is the best', (best) => {
    const rivals = (['lru', 's3fifo', 'tinylfu'] as const).map((policy) => ({
      policy,
      hits: hitsOf(policy, WORKLOADS[best]),
    }));
    const most = rivals.reduce((a, b) => (b.hits > a.hits ? b : a));
    expect(most.policy).toBe(best);
    expect(hitsOf('default', WORKLOADS[best])).toBeGreaterThan(most.hits - 0.01);
  });

  it('changes its mind when the workload does, both ways', () => {
    const store = aStore('default', 300);
    for (const workload of ['lru', 'tinylfu', 'lru', 'tinylfu'] as const) {
      const alone = hitsOf(workload, WORKLOADS[workload]);
      const within = hitsIn(store, WORKLOADS[workload]);
      expect(within, `in turn of ${workload}`).toBeGreaterThan(alone - 0.05);
    }
  });
});

type Workload = (i: number) => string;

/** Requests by number for which one policy is clearly the best at 300 entries. */
const WORKLOADS: Readonly<Record<'lru' | 'tinylfu', Workload>> = {
  // Each key is used four times at distances that just fit.
  lru: (i) => `r${Math.floor(i / 4) - 60 * (i % 4)}`,
  // A loop that is larger than the cache.
  tinylfu: (i) => `l${i % 400}`,
};

/** From 0 to 1, without a pattern. */
function uniform(i: number): number {
  return (hashKey(`${i}`) >>> 0) / 2 ** 32;
}

function hitsOf(policy: L1Policy, workload: Workload): number {
  return hitsIn(aStore(policy, 300), workload);
}

/** The hit ratio of the second half, once all is learnt. */
function hitsIn(store: BoundedStore<object>, workload: Workload): number {
  let hits = 0;
  const requests = 60_000;
  for (let i = 0; i < requests; i++) if (request(store, workload(i)) && i >= requests / 2) hits += 1;
  return hits / (requests / 2);
}
