import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Namespace, resolveNamespace } from '../../api/namespace.ts';
import { L1_POLICIES, type L1Policy } from '../../api/tier.ts';
import type { Entry } from '../l2/entry.ts';
import { L1, type L1Limits } from './l1.ts';

const NAMES = ['a', 'b', 'c', 'd'] as const;
const RULES: readonly Namespace[] = NAMES.map((name) => resolveNamespace({ name, ttlSeconds: 60 }, 30));
const MINUTE = 60_000;
const MAX_ENTRIES = 40;
const MAX_BYTES = 20_000;

function anEntry(version: string, size = 1, tags: readonly string[] = []): Entry {
  return { version, value: Buffer.alloc(size), tags, absent: false };
}

function limits(policy: L1Policy, maxEntries = MAX_ENTRIES, maxBytes = MAX_BYTES): L1Limits {
  return { maxEntries, maxBytes, policy };
}

function heldOf(l1: L1, name: string, keys: number): number {
  return Array.from({ length: keys }, (_, i) => l1.get(name, `k${i}`)).filter(Boolean).length;
}

type Step =
  | { do: 'set'; name: string; key: string; size: number; tag: string }
  | { do: 'get'; name: string; key: string }
  | { do: 'invalidate'; name: string; key: string }
  | { do: 'tag'; name: string; tag: string }
  | { do: 'reset'; partition: number }
  | { do: 'sweep' }
  | { do: 'configure'; policy: L1Policy; names: readonly string[]; maxEntries: number };

const name = fc.constantFrom(...NAMES);
const key = fc.nat(60).map((n) => `k${n}`);
const tag = fc.constantFrom('t', 'u');
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 20,
    arbitrary: fc.record({ do: fc.constant('set' as const), name, key, size: fc.nat(1_500), tag }),
  },
  { weight: 10, arbitrary: fc.record({ do: fc.constant('get' as const), name, key }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('invalidate' as const), name, key }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('tag' as const), name, tag }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reset' as const), partition: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('sweep' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('configure' as const),
      policy: fc.constantFrom(...L1_POLICIES),
      names: fc.subarray([...NAMES], { minLength: 1 }),
      maxEntries: fc.integer({ min: 1, max: MAX_ENTRIES }),
    }),
  },
);

/** The partition of a key never changes. */
const partitionOf = (key: string) => key.length % 4;

function perform(l1: L1, step: Step, time: number): void {
  const version = `${time}-0`;
  switch (step.do) {
    case 'set':
      l1.set(
        step.name,
        step.key,
        partitionOf(step.key),
        anEntry(version, step.size, [step.tag]),
        time % 7 === 0 ? 20 : MINUTE,
        time,
      );
      return;
    case 'get':
      l1.get(step.name, step.key);
      return;
    case 'invalidate':
      l1.invalidateKey(step.name, step.key, version);
      return;
    case 'tag':
      l1.invalidateTag(step.name, step.tag, partitionOf('k1'), version);
      return;
    case 'reset':
      l1.resetPartition(step.partition);
      return;
    case 'sweep':
      l1.sweep(time, () => 0);
      return;
    default:
      l1.configure(
        RULES.filter((rules) => step.names.includes(rules.name)),
        limits(step.policy, step.maxEntries),
        time,
      );
  }
}

describe.each(L1_POLICIES)('L1 by %s', (policy) => {
  it('stays within its bounds and counts right, through changes of policy, sizes and namespaces', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 30, maxLength: 200 }), (steps) => {
        const l1 = new L1(RULES, 4, limits(policy));
        steps.forEach((each, i) => {
          perform(l1, each, i + 1);
          const counted = NAMES.map((name) => l1.statsOf(name));
          expect(l1.entries).toBe(counted.reduce((sum, { entries }) => sum + entries, 0));
          expect(l1.bytes).toBe(counted.reduce((sum, { bytes }) => sum + bytes, 0));
          expect(l1.entries).toBeLessThanOrEqual(l1.limits.maxEntries);
          expect(l1.bytes).toBeLessThanOrEqual(MAX_BYTES);
        });
        // What is counted is there to be dropped: nothing is left once all of it was.
        for (let partition = 0; partition < 4; partition++) l1.resetPartition(partition);
        l1.sweep(steps.length, () => 0);
        expect([l1.entries, l1.bytes]).toEqual([0, 0]);
      }),
    );
  });

  it('takes nothing for a flood in one namespace from another that holds no more than its share', () => {
    const size = fc.integer({ min: 1, max: 2_000 });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 10 }),
        fc.array(size, { minLength: 100, maxLength: 200 }),
        (held, sizes) => {
          const l1 = new L1(RULES, 4, limits(policy));
          const share = { entries: MAX_ENTRIES / NAMES.length, bytes: MAX_BYTES / NAMES.length };
          for (const name of ['b', 'c', 'd']) {
            for (let i = 0; i < held; i++) l1.set(name, `k${i}`, 0, anEntry('1-0', 200), MINUTE, 0);
            expect(l1.statsOf(name).entries).toBeLessThanOrEqual(share.entries);
            expect(l1.statsOf(name).bytes).toBeLessThanOrEqual(share.bytes);
          }
          sizes.forEach((size, i) => {
            l1.set('a', `flood${i}`, 0, anEntry('1-0', size), MINUTE, 0);
            // Asked for twice, as what is popular in the flood must not push others out either.
            if (i % 3 === 0) l1.get('a', `flood${i}`);
          });
          for (const name of ['b', 'c', 'd']) expect(heldOf(l1, name, held)).toBe(held);
        },
      ),
    );
  });

  it('lets expired entries go without their being touched, and no others', () => {
    const l1 = new L1(RULES, 4, limits(policy));
    for (let i = 0; i < 10; i++) l1.set('a', `short${i}`, 0, anEntry('1-0'), 1_000, 0);
    for (let i = 0; i < 10; i++) l1.set('a', `k${i}`, 0, anEntry('1-0'), MINUTE, 0);
    l1.sweep(999, () => 0);
    expect(l1.entries).toBe(20);
    l1.sweep(1_000, () => 0);
    expect(l1.entries).toBe(10);
    expect(heldOf(l1, 'a', 10)).toBe(10);
  });

  it('replaces an entry without evicting another', () => {
    const l1 = new L1(RULES, 4, limits(policy));
    for (let version = 1; version < 20; version++) {
      for (let i = 0; i < MAX_ENTRIES; i++) l1.set('a', `k${i}`, 0, anEntry(`${version}-0`), MINUTE, 0);
    }
    expect(l1.entries).toBe(MAX_ENTRIES);
    expect(l1.evictions).toBe(0);
  });

  it('is what L1 goes on by after a change from any other, with all that it held', () => {
    for (const before of L1_POLICIES) {
      const l1 = new L1(RULES, 4, limits(before));
      for (let i = 0; i < 10; i++) l1.set('a', `k${i}`, 0, anEntry('1-0', 1, ['t']), MINUTE, 0);
      l1.configure(RULES, limits(policy), 0);
      expect([l1.limits.policy, l1.entries, l1.evictions]).toEqual([policy, 10, 0]);
      expect(heldOf(l1, 'a', 10)).toBe(10);
      l1.invalidateTag('a', 't', 0, '2-0');
      expect([l1.entries, l1.bytes]).toEqual([0, 0]);
    }
  });
});

describe('L1', () => {
  it('keeps what was worth most where a change of policy comes with less room', () => {
    const l1 = new L1(RULES, 4, limits('s3fifo'));
    for (let i = 0; i < MAX_ENTRIES; i++) l1.set('a', `old${i}`, 0, anEntry('1-0'), MINUTE, 0);
    for (let use = 0; use < 3; use++) {
      for (let i = 0; i < 5; i++) {
        if (l1.get('a', `k${i}`) === undefined) l1.set('a', `k${i}`, 0, anEntry('1-0'), MINUTE, 0);
      }
    }
    // Pushes those used out of the small queue, which shows their worth.
    for (let i = 0; i < 10; i++) l1.set('a', `new${i}`, 0, anEntry('1-0'), MINUTE, 0);
    l1.configure(RULES, limits('lru', 10), 0);
    expect(l1.entries).toBe(10);
    expect(heldOf(l1, 'a', 5)).toBe(5);
  });
});
