import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { L1_POLICIES, type L1Policy } from '../../../api/tier.ts';
import type { BoundedStore } from '../store.ts';
import { AdaptivePolicy } from './adaptive-policy.ts';
import { createStore } from './create-store.ts';
import type { Capacity, EvictionPolicy } from './eviction-policy.ts';
import { FrequencySketch } from './frequency-sketch.ts';
import { LruPolicy } from './lru-policy.ts';
import { S3FifoPolicy } from './s3-fifo-policy.ts';
import { Links, NONE } from './slot-list.ts';
import { SlotStore } from './slot-store.ts';
import { TinyLfuPolicy } from './tiny-lfu-policy.ts';

const MAX_ENTRIES = 12;
const MAX_WEIGHT = 60;

interface Value {
  readonly weight: number;
}

type Step =
  | { do: 'set'; key: string; weight: number }
  | { do: 'get'; key: string }
  | { do: 'delete'; key: string }
  | { do: 'evictOne' }
  | { do: 'resize'; maxEntries: number; maxWeight: number }
  | { do: 'clear' };

const key = fc.integer({ min: 0, max: 40 }).map((n) => `k${n}`);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 20,
    arbitrary: fc.record({ do: fc.constant('set' as const), key, weight: fc.nat(15).map((n) => n + 1) }),
  },
  { weight: 20, arbitrary: fc.record({ do: fc.constant('get' as const), key }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('delete' as const), key }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('evictOne' as const) }) },
  // Larger than all that there is room for.
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('set' as const), key, weight: fc.constant(MAX_WEIGHT + 1) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('resize' as const),
      maxEntries: fc.integer({ min: 1, max: MAX_ENTRIES }),
      maxWeight: fc.integer({ min: 15, max: MAX_WEIGHT }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('clear' as const) }) },
);

/** A store beside what it must hold: all that was set and has neither been taken out nor reported as evicted. */
class Checked {
  readonly store: BoundedStore<Value>;
  readonly model = new Map<string, Value>();
  maxEntries = MAX_ENTRIES;
  maxWeight = MAX_WEIGHT;

  constructor(build: (onEvict: (key: string, value: Value) => void) => BoundedStore<Value>) {
    this.store = build((key, value) => {
      expect(this.model.get(key), `eviction of ${key} that is not held, or a second one`).toBe(value);
      this.model.delete(key);
    });
  }

  perform(step: Step): void {
    const { store, model } = this;
    switch (step.do) {
      case 'set': {
        const value = { weight: step.weight };
        model.set(step.key, value);
        expect(store.set(step.key, value, step.weight)).toBe(model.has(step.key));
        return;
      }
      case 'get':
        expect(store.get(step.key)).toBe(model.get(step.key));
        return;
      case 'delete':
        expect(store.delete(step.key)).toBe(model.delete(step.key));
        return;
      case 'evictOne': {
        const before = model.size;
        expect(store.evictOne()).toBe(before > 0);
        expect(model.size).toBe(Math.max(0, before - 1));
        return;
      }
      case 'resize':
        this.maxEntries = step.maxEntries;
        this.maxWeight = step.maxWeight;
        store.resize(step.maxEntries, step.maxWeight);
        return;
      default:
        model.clear();
        store.clear();
    }
  }

  check(): void {
    const { store, model } = this;
    const weights = [...model.values()].reduce((sum, { weight }) => sum + weight, 0);
    expect([store.size, store.weight]).toEqual([model.size, weights]);
    expect(store.size).toBeLessThanOrEqual(this.maxEntries);
    expect(store.weight).toBeLessThanOrEqual(this.maxWeight);
    expect(new Map(store.entries())).toEqual(model);
    expect([...model].every(([key, value]) => store.peek(key) === value)).toBe(true);
  }
}

const optionsOf = (onEvict: (key: string, value: Value) => void) => ({
  maxEntries: MAX_ENTRIES,
  maxWeight: MAX_WEIGHT,
  onEvict,
});

describe.each(L1_POLICIES)('a store by %s', (policy) => {
  it('holds what was set and not evicted, within its bounds, and counts right, whatever happens to it', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 50, maxLength: 250 }), (steps) => {
        const checked = new Checked((onEvict) => createStore(policy, optionsOf(onEvict)));
        for (const each of steps) {
          checked.perform(each);
          checked.check();
        }
      }),
    );
  });

  it('lets go of entries while they are walked over', () => {
    const store = createStore<Value>(policy, { maxEntries: 50, maxWeight: 1_000 });
    for (let i = 0; i < 50; i++) store.set(`k${i}`, { weight: 1 }, 1);
    for (let i = 0; i < 50; i += 3) store.get(`k${i}`);
    let seen = 0;
    for (const [key] of store.entries()) {
      seen += 1;
      store.delete(key);
    }
    expect([seen, store.size, store.weight]).toEqual([50, 0, 0]);
  });

  it('reports the entry that is too large, and holds no older one in its place', () => {
    const evicted: string[] = [];
    const store = createStore<Value>(policy, { ...optionsOf((key) => evicted.push(key)) });
    store.set('k', { weight: 1 }, 1);
    expect(store.set('k', { weight: 100 }, 100)).toBe(false);
    expect(store.peek('k')).toBeUndefined();
    expect(evicted).toEqual(['k']);
  });

  it('lets entries that it holds be replaced without a word', () => {
    const evicted: string[] = [];
    const store = createStore<Value>(policy, { ...optionsOf((key) => evicted.push(key)) });
    for (let i = 0; i < 5; i++)
      for (let k = 0; k < MAX_ENTRIES; k++) store.set(`k${k}`, { weight: 1 }, 1 + (i % 2));
    expect(store.size).toBe(MAX_ENTRIES);
    expect(evicted).toEqual([]);
  });

  it('fills all of its room', () => {
    const store = createStore<Value>(policy, { maxEntries: 1_000, maxWeight: Number.MAX_SAFE_INTEGER });
    for (let i = 0; i < 5_000; i++) store.set(`k${i}`, { weight: 1 }, 1);
    expect(store.size).toBe(1_000);
  });

  it('serves a small set of popular keys through a flood of others', () => {
    const hits = hitsOfPopular(policy);
    if (policy === 'lru') expect(hits).toBe(0);
    else expect(hits).toBeGreaterThan(0.9);
  });
});

/** The share of hits on 20 keys, each asked for every 200 requests, among keys that never come again. */
function hitsOfPopular(policy: L1Policy): number {
  const store = createStore<Value>(policy, { maxEntries: 100, maxWeight: Number.MAX_SAFE_INTEGER });
  const request = (key: string): boolean => {
    if (store.get(key) !== undefined) return true;
    store.set(key, { weight: 1 }, 1);
    return false;
  };
  let hits = 0;
  for (let round = 0; round < 220; round++) {
    for (let k = 0; k < 20; k++) {
      if (request(`popular${k}`) && round >= 20) hits += 1;
      // The first rounds are for learning who is popular.
      for (let i = 0; round < 20 && i < 2; i++) request(`popular${k}`);
      for (let i = 0; i < 9; i++) request(`once${round}-${k}-${i}`);
    }
  }
  return hits / (200 * 20);
}

const POLICIES: Readonly<Record<string, (links: Links, capacity: Capacity) => EvictionPolicy>> = {
  LruPolicy: (links) => new LruPolicy(links),
  S3FifoPolicy: (links, capacity) => new S3FifoPolicy(links, capacity),
  TinyLfuPolicy: (links, capacity) => new TinyLfuPolicy(links, capacity, new FrequencySketch()),
  AdaptivePolicy: (links, capacity) => new AdaptivePolicy(links, capacity),
};

describe.each(Object.entries(POLICIES))('%s', (_, build) => {
  it('keeps each slot in one list, linked both ways, and hands out no more slots than there is room for', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 50, maxLength: 250 }), (steps) => {
        const links = new Links();
        let policy: EvictionPolicy | undefined;
        const checked = new Checked((onEvict) => {
          const buildPolicy = (capacity: Capacity) => {
            policy = build(links, capacity);
            return policy;
          };
          return new SlotStore(optionsOf(onEvict), links, buildPolicy);
        });
        for (const each of steps) {
          checked.perform(each);
          const slots = slotsOf(policy?.lists ?? [], links);
          expect(slots.length).toBe(checked.model.size);
          expect(new Set(slots).size).toBe(slots.length);
          // One more than the bound: a new entry comes before another one leaves.
          expect(Math.max(-1, ...slots)).toBeLessThanOrEqual(MAX_ENTRIES);
        }
        checked.check();
      }),
    );
  });
});

function slotsOf(lists: EvictionPolicy['lists'], links: Links): number[] {
  return lists.flatMap((list) => {
    const slots: number[] = [];
    let weight = 0;
    let before = NONE;
    let isSound = true;
    for (let slot = list.oldest; slot !== NONE; slot = list.newerThan(slot)) {
      isSound &&= list.olderThan(slot) === before && links.label[slot] === list.label;
      weight += links.weight[slot] ?? 0;
      slots.push(slot);
      before = slot;
    }
    expect(isSound).toBe(true);
    expect(list.newest).toBe(before);
    expect([list.count, list.weight]).toEqual([slots.length, weight]);
    return slots;
  });
}
