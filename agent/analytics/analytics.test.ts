import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { resolveNamespace } from '../../api/namespace.ts';
import { Zipf } from '../../cli/bench/zipf.ts';
import { seededRandom } from '../../hack/demo/random.ts';
import { L1 } from '../cache/l1.ts';
import { createStore } from '../cache/policy/create-store.ts';
import { hashKey, mix } from '../cache/policy/key-hash.ts';
import { Analytics } from './analytics.ts';
import { Churn } from './churn.ts';
import { Departures, MISS_CAUSES } from './departures.ts';
import { HotKeys } from './hot-keys.ts';
import { LargestKeys } from './largest-keys.ts';
import { SizeCurve } from './size-curve.ts';

describe('the hottest keys', () => {
  it('are found among many more than there is room for, with their rates', () => {
    let now = 0;
    const random = seededRandom(1);
    const hot = new HotKeys({ capacity: 64, now: () => now, random });
    const ranks = new Zipf(100_000, 1.1, random);
    const counts = new Map<number, number>();
    const requests = 400_000;
    for (let i = 0; i < requests; i++) {
      // 10,000 a second.
      now = i / 10;
      const rank = ranks.next();
      counts.set(rank, (counts.get(rank) ?? 0) + 1);
      hot.note('ns', String(rank));
    }
    const top = hot.top(10);
    expect(top.filter(({ key }) => Number(key) < 12).length).toBeGreaterThanOrEqual(9);
    const rate = (counts.get(0) ?? 0) / (requests / 10_000);
    expect(top[0]?.key).toBe('0');
    expect((top[0]?.perSecond ?? 0) / rate).toBeGreaterThan(0.9);
    expect((top[0]?.perSecond ?? 0) / rate).toBeLessThan(1.1);
  });

  it('are those of late, in bounded room', () => {
    let now = 0;
    const hot = new HotKeys({ capacity: 8, now: () => now, random: seededRandom(2) });
    for (let i = 0; i < 20_000; i++) {
      hot.note('ns', `old${i % 4}`);
      hot.note('ns', `once${i}`);
      expect(hot.size).toBeLessThanOrEqual(16);
    }
    now = 120_000;
    for (let i = 0; i < 20_000; i++) hot.note('ns', `new${i % 4}`);
    now = 125_000;
    const names = hot.top(4).map(({ key }) => key.slice(0, 3));
    expect(names).toEqual(['new', 'new', 'new', 'new']);
  });

  it('tell keys of the same name in two namespaces apart', () => {
    const hot = new HotKeys({ capacity: 8, now: () => 1_000, random: () => 0 });
    let time = 0;
    const counted = new HotKeys({ capacity: 8, now: () => time, random: () => 0 });
    for (let i = 0; i < 10; i++) {
      counted.note('a', 'k');
      if (i < 5) counted.note('b', 'k');
    }
    time = 1_000;
    expect(counted.top(5)).toMatchObject([
      { namespace: 'a', key: 'k' },
      { namespace: 'b', key: 'k' },
    ]);
    // Over no time at all there is no rate.
    hot.note('a', 'k');
    expect(hot.top(5)).toEqual([]);
  });
});

describe('why keys left memory', () => {
  it('is remembered of about as many as memory holds three times, in constant room', () => {
    const departures = new Departures(1_000);
    const hash = (i: number) => mix(hashKey(`key-${i}`));
    for (let i = 0; i < 10_000; i++) departures.note(hash(i), i % 2 === 0 ? 'expired' : 'evicted');
    let known = 0;
    for (let i = 9_000; i < 10_000; i++) {
      const cause = departures.causeOf(hash(i));
      if (cause === 'cold') continue;
      expect(cause).toBe(i % 2 === 0 ? 'expired' : 'evicted');
      known += 1;
    }
    expect(known).toBeGreaterThan(850);
    expect(departures.causeOf(hash(-1))).toBe('cold');
  });

  it('is told by L1 as it happened', () => {
    const rules = [
      resolveNamespace({ name: 'a', ttlSeconds: 60, memoryLimit: '2k' }, 30),
      resolveNamespace({ name: 'b', ttlSeconds: 60 }, 30),
    ];
    const analytics = new Analytics({ entries: 4, now: () => 0, random: seededRandom(3) });
    const l1 = new L1(
      rules,
      1,
      { maxEntries: 4, maxBytes: 100_000, policy: 'lru' },
      {
        kept: () => undefined,
        left: (namespace, key, cause) => analytics.left(namespace, key, cause),
      },
    );
    const set = (namespace: string, key: string, size = 1, tags: string[] = []) =>
      l1.set(
        namespace,
        key,
        0,
        { version: '1-0', value: Buffer.alloc(size), absent: false, tags },
        60_000,
        0,
      );
    const causeOf = (namespace: string, key: string) => {
      const before = new Map(analytics.reads(namespace).causes);
      if (l1.get(namespace, key) === undefined) analytics.missed(analytics.reads(namespace), key);
      return MISS_CAUSES.find(
        (cause) => (analytics.reads(namespace).causes.get(cause) ?? 0) > (before.get(cause) ?? 0),
      );
    };
    expect(causeOf('a', 'never')).toBe('cold');
    set('a', 'large', 4_000);
    expect(causeOf('a', 'large')).toBe('too_large');
    set('a', 'named');
    l1.invalidateKey('a', 'named', '2-0');
    expect(causeOf('a', 'named')).toBe('invalidated');
    set('a', 'tagged', 1, ['red']);
    l1.invalidateTag('a', 'red', 0, '2-0');
    expect(causeOf('a', 'tagged')).toBe('invalidated');
    set('b', 'all');
    l1.invalidateNamespace('b', 0);
    expect(causeOf('b', 'all')).toBe('invalidated');
    set('b', 'lost');
    l1.resetPartition(0);
    expect(causeOf('b', 'lost')).toBe('reset');
    set('b', 'old');
    l1.sweep(60_000, () => 0);
    expect(causeOf('b', 'old')).toBe('expired');
    for (let i = 0; i < 5; i++) set('b', `many${i}`);
    expect(causeOf('b', 'many0')).toBe('evicted');
    // The same name elsewhere is another key.
    expect(causeOf('a', 'many0')).toBe('cold');
  });
});

describe('what another size would answer', () => {
  it.each([
    { room: 200, slope: 0.9 },
    { room: 2_000, slope: 0.9 },
    { room: 2_000, slope: 1.2 },
    { room: 20_000, slope: 0.8 },
  ])(
    'is within three points of what S3-FIFO of that size does: $room entries, slope $slope',
    ({ room, slope }) => {
      const random = seededRandom(room);
      const ranks = new Zipf(room * 25, slope, random);
      const curve = new SizeCurve(room);
      const factors = [0.5, 1, 2, 4];
      const stores = factors.map((factor) =>
        createStore<object>('s3fifo', { maxEntries: room * factor, maxWeight: Number.MAX_SAFE_INTEGER }),
      );
      const hits = factors.map(() => 0);
      const requests = Math.max(100_000, room * 60);
      const value = {};
      for (let i = 0; i < requests; i++) {
        const key = `key-${ranks.next()}`;
        curve.request(mix(hashKey(key)), false);
        stores.forEach((store, f) => {
          if (store.get(key) !== undefined) hits[f] = (hits[f] ?? 0) + 1;
          else store.set(key, value, 1);
        });
      }
      const points = curve.points();
      factors.forEach((factor, f) => {
        expect(points[f]?.factor).toBe(factor);
        expect(Math.abs((points[f]?.hitRatio ?? 0) - (hits[f] ?? 0) / requests)).toBeLessThan(0.03);
      });
    },
  );

  it('does not count what had ended for every size', () => {
    const curve = new SizeCurve(100);
    for (let i = 0; i < 2_000; i++) curve.request(mix(i % 10), true);
    expect(curve.points().map(({ hitRatio }) => hitRatio)).toEqual([0, 0, 0, 0]);
  });

  it('is not told before enough was asked, nor of another size than the present', () => {
    const curve = new SizeCurve(100);
    for (let i = 0; i < 400; i++) curve.request(mix(i % 10), false);
    expect(curve.points()).toEqual([]);
    for (let i = 0; i < 400; i++) curve.request(mix(i % 10), false);
    expect(curve.points()).not.toEqual([]);
    curve.resize(110);
    expect(curve.points()).not.toEqual([]);
    curve.resize(1_000);
    expect(curve.points()).toEqual([]);
  });
});

describe('the largest keys', () => {
  it('are the largest that are held, under random load', () => {
    const step = fc.record({
      key: fc.integer({ min: 0, max: 200 }),
      bytes: fc.integer({ min: 1, max: 1_000 }),
      isGone: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 500 }), (steps) => {
        const largest = new LargestKeys(8);
        const held = new Map<string, number>();
        for (const { key, bytes, isGone } of steps) {
          // Small ones leave only: then the list never gets too short.
          const name = String(key);
          if (isGone && (held.get(name) ?? 0) < 100) held.delete(name);
          else {
            held.set(name, Math.max(bytes, held.get(name) ?? 0));
            largest.note('ns', name, held.get(name) ?? 0);
          }
        }
        const top = largest.top(4, (_, key) => held.get(key)).map(({ bytes }) => bytes);
        const all = [...held.values()].filter((bytes) => bytes >= 100).sort((a, b) => b - a);
        expect(top.filter((bytes) => bytes >= 100)).toEqual(all.slice(0, top.filter((b) => b >= 100).length));
        expect(top.length).toBeGreaterThanOrEqual(Math.min(4, all.length));
      }),
    );
  });

  it('come again after those before have gone', () => {
    const largest = new LargestKeys(2);
    for (let i = 0; i < 10; i++) largest.note('ns', `large${i}`, 1_000 + i);
    largest.note('ns', 'small', 10);
    expect(largest.top(2, () => undefined)).toEqual([]);
    largest.note('ns', 'small', 10);
    expect(largest.top(2, () => 10)).toEqual([{ namespace: 'ns', key: 'small', bytes: 10 }]);
  });
});

it('churn has bounded types, however many names events have', () => {
  const churn = new Churn();
  for (let i = 0; i < 1_000; i++) churn.note(`type_${i}`, 1);
  const types = churn.byType();
  expect(types.length).toBe(64);
  expect(types[0]).toEqual({ eventType: 'other', events: 937, dropped: 937 });
});
