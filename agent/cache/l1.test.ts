import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Namespace, resolveNamespace } from '../../api/namespace.ts';
import type { Entry } from '../l2/entry.ts';
import { L1 } from './l1.ts';

const RULES: readonly Namespace[] = [
  resolveNamespace({ name: 'a', ttlSeconds: 60 }, 30),
  resolveNamespace({ name: 'b', ttlSeconds: 60, memoryLimit: '2k' }, 30),
];
const MINUTE = 60_000;

function anEntry(version: string, value = 'v', tags: readonly string[] = []): Entry {
  return { version, value: Buffer.from(value), tags, absent: false };
}

function anL1(maxEntries = 100, maxBytes = 1_000_000): L1 {
  return new L1(RULES, 4, { maxEntries, maxBytes });
}

describe('L1', () => {
  it('drops a key’s entry that is older than an event, and keeps what the event itself wrote', () => {
    const l1 = anL1();
    l1.set('a', 'old', 0, anEntry('5-0'), MINUTE, 0);
    l1.set('a', 'new', 0, anEntry('7-0'), MINUTE, 0);
    for (const key of ['old', 'new']) l1.invalidateKey('a', key, '7-0');
    expect(l1.get('a', 'old')).toBeUndefined();
    expect(l1.get('a', 'new')?.version).toBe('7-0');
  });

  it('never replaces an entry by an older one', () => {
    const l1 = anL1();
    l1.set('a', 'k', 0, anEntry('7-0', 'new'), MINUTE, 0);
    l1.set('a', 'k', 0, anEntry('6-0', 'old'), MINUTE, 0);
    expect(l1.get('a', 'k')?.value.toString()).toBe('new');
  });

  it('drops by tag, in the event’s partition only', () => {
    const l1 = anL1();
    l1.set('a', 'k0', 0, anEntry('5-0', 'v', ['t']), MINUTE, 0);
    l1.set('a', 'k1', 1, anEntry('5-0', 'v', ['t']), MINUTE, 0);
    l1.set('a', 'k2', 0, anEntry('5-0', 'v', ['u']), MINUTE, 0);
    l1.invalidateTag('a', 't', 0, '6-0');
    expect(l1.get('a', 'k0')).toBeUndefined();
    expect(l1.get('a', 'k1')).toBeDefined();
    expect(l1.get('a', 'k2')).toBeDefined();
  });

  it('drops a namespace’s partition without touching others, and what comes later stays', () => {
    const l1 = anL1();
    l1.set('a', 'k', 0, anEntry('5-0'), MINUTE, 0);
    l1.set('b', 'k', 0, anEntry('5-0'), MINUTE, 0);
    l1.invalidateNamespace('a', 0);
    expect(l1.get('a', 'k')).toBeUndefined();
    expect(l1.get('b', 'k')).toBeDefined();
    l1.set('a', 'k', 0, anEntry('6-0'), MINUTE, 0);
    expect(l1.get('a', 'k')).toBeDefined();
  });

  it('drops a partition of every namespace on reset', () => {
    const l1 = anL1();
    l1.set('a', 'k', 0, anEntry('5-0'), MINUTE, 0);
    l1.set('b', 'k', 1, anEntry('5-0'), MINUTE, 0);
    l1.resetPartition(0);
    expect(l1.get('a', 'k')).toBeUndefined();
    expect(l1.get('b', 'k')).toBeDefined();
  });

  it('answers for the rest of the life in L2, at most for the L1 TTL', () => {
    const l1 = anL1();
    l1.set('a', 'long', 0, anEntry('5-0'), MINUTE, 1_000);
    l1.set('a', 'short', 0, anEntry('5-0'), 200, 1_000);
    expect(l1.get('a', 'long')?.freshUntil).toBe(31_000);
    expect(l1.get('a', 'short')?.freshUntil).toBe(1_200);
  });

  it('sweeps what is dead without waiting for it to be touched', () => {
    const l1 = anL1();
    l1.set('a', 'dead', 0, anEntry('5-0'), 100, 0);
    l1.set('a', 'dropped', 1, anEntry('5-0'), MINUTE, 0);
    l1.set('a', 'alive', 0, anEntry('5-0'), MINUTE, 0);
    l1.resetPartition(1);
    l1.sweep(200, () => 0);
    expect(l1.entries).toBe(1);
    expect(l1.get('a', 'alive')).toBeDefined();
  });

  it('takes room from the namespace that holds the most', () => {
    const l1 = anL1(10);
    for (let i = 0; i < 3; i++) l1.set('b', `k${i}`, 0, anEntry('5-0'), MINUTE, 0);
    for (let i = 0; i < 100; i++) l1.set('a', `k${i}`, 0, anEntry('5-0'), MINUTE, 0);
    expect(l1.entries).toBe(10);
    expect(l1.statsOf('b').entries).toBe(3);
  });

  it('refuses what is larger than a namespace’s limit and counts nothing for it', () => {
    const l1 = anL1();
    l1.set('b', 'k', 0, anEntry('5-0', 'x'.repeat(5_000)), MINUTE, 0);
    expect(l1.get('b', 'k')).toBeUndefined();
    expect([l1.entries, l1.bytes]).toEqual([0, 0]);
  });

  it('takes other sizes and namespaces while it runs', () => {
    const l1 = anL1();
    for (let i = 0; i < 50; i++) l1.set('a', `k${i}`, 0, anEntry('5-0'), MINUTE, 0);
    l1.configure(RULES.slice(0, 1), { maxEntries: 5, maxBytes: 1_000_000 }, 0);
    expect(l1.entries).toBe(5);
    expect(l1.get('a', 'k49')).toBeDefined();
    l1.configure(RULES.slice(1), { maxEntries: 5, maxBytes: 1_000_000 }, 0);
    expect([l1.entries, l1.bytes]).toEqual([0, 0]);
  });

  it('stays within its bounds, and counts right, whatever happens to it', () => {
    const name = fc.constantFrom('a', 'b');
    const key = fc.integer({ min: 0, max: 20 }).map((n) => `k${n}`);
    const step = fc.oneof(
      fc.record({
        do: fc.constant('set' as const),
        name,
        key,
        size: fc.integer({ min: 0, max: 900 }),
        tag: fc.constantFrom('t', 'u'),
      }),
      fc.record({ do: fc.constant('key' as const), name, key }),
      fc.record({ do: fc.constant('tag' as const), name, tag: fc.constantFrom('t', 'u') }),
      fc.record({ do: fc.constant('namespace' as const), name }),
      fc.record({ do: fc.constant('reset' as const) }),
      fc.record({ do: fc.constant('sweep' as const) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const l1 = anL1(12, 6_000);
        steps.forEach((each, i) => {
          perform(l1, each, i + 1);
          const counted = ['a', 'b'].map((name) => l1.statsOf(name));
          expect(l1.entries).toBe(counted.reduce((sum, { entries }) => sum + entries, 0));
          expect(l1.bytes).toBe(counted.reduce((sum, { bytes }) => sum + bytes, 0));
          expect(l1.entries).toBeLessThanOrEqual(12);
          expect(l1.bytes).toBeLessThanOrEqual(6_000);
          expect(l1.statsOf('b').bytes).toBeLessThanOrEqual(2_000);
        });
      }),
    );
  });
});

type Step =
  | { do: 'set'; name: string; key: string; size: number; tag: string }
  | { do: 'key'; name: string; key: string }
  | { do: 'tag'; name: string; tag: string }
  | { do: 'namespace'; name: string }
  | { do: 'reset' }
  | { do: 'sweep' };

function perform(l1: L1, step: Step, time: number): void {
  const version = `${time}-0`;
  switch (step.do) {
    case 'set':
      l1.set(step.name, step.key, 0, anEntry(version, 'x'.repeat(step.size), [step.tag]), MINUTE, time);
      return;
    case 'key':
      l1.invalidateKey(step.name, step.key, version);
      return;
    case 'tag':
      l1.invalidateTag(step.name, step.tag, 0, version);
      return;
    case 'namespace':
      l1.invalidateNamespace(step.name, 0);
      return;
    case 'reset':
      l1.resetPartition(0);
      return;
    default:
      l1.sweep(time, () => 0);
  }
}
