import { beforeEach, describe, expect, it } from 'vitest';
import { NearStore, type NearValue } from './near-store.ts';

const LIMITS = { maxEntries: 3, maxBytes: 10_000, ttlMs: 10_000, staleMs: 0 };
let store: NearStore;

beforeEach(() => {
  store = new NearStore({ ns: LIMITS });
});

function value(version: string, more: Partial<NearValue> = {}): NearValue {
  return { bytes: Buffer.from('v'), version, tags: [], ttlMs: 5_000, ...more };
}

function change(keys: string[], version: string, tags: string[] = []) {
  store.invalidate({ namespace: 'ns', keys, tags, version });
}

/** Asks and admits with nothing in between. */
function hold(key: string, version = '5-0', more: Partial<NearValue> = {}): boolean {
  return store.admit('ns', key, value(version, more), store.ticket(0));
}

describe('an answer', () => {
  it('is held for what is left of its life, counted from before it was asked for', () => {
    expect(store.admit('ns', 'k', value('1-0', { ttlMs: 100 }), store.ticket(1_000))).toBe(true);
    expect(store.get('ns', 'k', 1_099)).toMatchObject({ version: '1-0' });
    expect(store.get('ns', 'k', 1_100)).toBeUndefined();
    store.admit('ns', 'k', value('1-0', { ttlMs: 60_000 }), store.ticket(2_000));
    expect(store.get('ns', 'k', 11_999)).toBeDefined();
    expect(store.get('ns', 'k', 12_000)).toBeUndefined();
  });

  it.each([
    ['its key changed', () => change(['k'], '6-0')],
    ['a tag changed, which it may carry', () => change([], '6-0', ['t'])],
    ['the namespace changed', () => change([], '6-0')],
    ['completeness was lost', () => store.clear()],
    ['this process changed it', () => change(['k'], '')],
  ])('is not held where %s since it was asked for', (_, happen) => {
    const ticket = store.ticket(0);
    happen();
    expect(store.admit('ns', 'k', value('5-0'), ticket)).toBe(false);
    expect(store.get('ns', 'k', 0)).toBeUndefined();
    expect(store.counters.overtaken).toBe(1);
    // One that is asked for now is as new as the change.
    expect(store.admit('ns', 'k', value('7-0'), store.ticket(0))).toBe(true);
  });

  it('is held though its key changed under way, if it is as new as the change', () => {
    const ticket = store.ticket(0);
    change(['k', 'other'], '6-0');
    expect(store.admit('ns', 'k', value('6-0'), ticket)).toBe(true);
  });

  it('is not held where changes were too many to be remembered one by one', () => {
    const ticket = store.ticket(0);
    for (let i = 0; i < 5_000; i++) change([`k${i}`], `${i + 1}-0`);
    expect(store.admit('ns', 'k0', value('0-1'), ticket)).toBe(false);
    expect(store.admit('ns', 'never changed', value('0-1'), ticket)).toBe(false);
  });

  it('is held by none of those who share it, where its key changed under way', () => {
    const tickets = [store.ticket(0), store.ticket(0)];
    change(['k'], '6-0');
    for (const ticket of tickets) {
      expect(store.admit('ns', 'k', value('5-0'), ticket)).toBe(false);
      // What is not held is said all the same, so that nobody is given an older one.
      change(['k'], '5-0');
    }
    expect(store.get('ns', 'k', 0)).toBeUndefined();
  });

  it('is not held where this process changed its key under way, and heard of it as well', () => {
    const ticket = store.ticket(0);
    change(['k'], '');
    const later = store.ticket(0);
    change(['k'], '6-0');
    expect(store.admit('ns', 'k', value('6-0'), ticket)).toBe(false);
    expect(store.admit('ns', 'k', value('6-0'), later)).toBe(true);
  });

  it('does not replace a newer one', () => {
    hold('k', '9-0');
    expect(hold('k', '8-0')).toBe(false);
    expect(store.get('ns', 'k', 0)).toMatchObject({ version: '9-0' });
  });

  it('that has no life left, or no version, is not held', () => {
    expect(hold('k', '1-0', { ttlMs: 0 })).toBe(false);
    expect(hold('k', '')).toBe(false);
    expect(store.admit('other', 'k', value('1-0'), store.ticket(0))).toBe(false);
  });

  it('is a copy: a view would keep the whole batch alive', () => {
    const bytes = Buffer.from('abc');
    hold('k', '1-0', { bytes });
    bytes.fill(0);
    expect(store.get('ns', 'k', 0)?.bytes).toEqual(Buffer.from('abc'));
  });
});

describe('an invalidation', () => {
  it('drops what is older, and keeps what is as new', () => {
    hold('a', '5-0');
    hold('b', '5-0.3');
    change(['a', 'b'], '5-0');
    expect(store.get('ns', 'a', 0)).toBeDefined();
    change(['a', 'b'], '5-1');
    expect([store.get('ns', 'a', 0), store.get('ns', 'b', 0)]).toEqual([undefined, undefined]);
  });

  it('by tag drops those that carry it, whatever their versions: partitions are not comparable', () => {
    hold('a', '9-0', { tags: ['t', 'u'] });
    hold('b', '9-0', { tags: ['u'] });
    change([], '1-0', ['t']);
    expect([store.get('ns', 'a', 0), store.get('ns', 'b', 0)?.version]).toEqual([undefined, '9-0']);
  });

  it('of what this process wrote drops it whatever its version', () => {
    hold('k', '9-0');
    change(['k'], '');
    expect(store.get('ns', 'k', 0)).toBeUndefined();
  });

  it('of another namespace changes nothing', () => {
    hold('k');
    store.invalidate({ namespace: 'other', keys: ['k'], tags: [], version: '9-0' });
    expect(store.get('ns', 'k', 0)).toBeDefined();
  });
});

describe('memory', () => {
  it('is bounded in entries, and tags go with what they were on', () => {
    for (let i = 0; i < 10; i++) hold(`k${i}`, '1-0', { tags: [`t${i}`] });
    expect(store.size.entries).toBe(3);
    expect(store.counters.evicted).toBe(7);
    change([], '2-0', ['t0', 't9']);
    expect(store.size.entries).toBe(2);
  });

  it('is bounded in bytes, and what is larger than all of it is not held', () => {
    expect(hold('large', '1-0', { bytes: Buffer.alloc(6_000) })).toBe(false);
    for (let i = 0; i < 3; i++) hold(`k${i}`, '1-0', { bytes: Buffer.alloc(3_000) });
    expect(store.size.entries).toBe(1);
    expect(store.size.bytes).toBeLessThanOrEqual(10_000);
  });
});

it('keeps what has ended, and only that, for those who can do with it', () => {
  store = new NearStore({ ns: { ...LIMITS, staleMs: 500 } });
  hold('k', '1-0', { ttlMs: 100 });
  expect(store.get('ns', 'k', 150)).toBeUndefined();
  expect(store.getExpired('ns', 'k', 150)).toMatchObject({ version: '1-0' });
  expect(store.getExpired('ns', 'k', 600)).toBeUndefined();
  change(['k'], '2-0');
  expect(store.getExpired('ns', 'k', 150)).toBeUndefined();
});
