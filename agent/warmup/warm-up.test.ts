import { pino } from 'pino';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { resolveNamespace } from '../../api/namespace.ts';
import { HotKeys } from '../analytics/hot-keys.ts';
import { L1 } from '../cache/l1.ts';
import { RedisUnavailableError } from '../errors.ts';
import { WarmUp } from './warm-up.ts';

const KEYS = Array.from({ length: 200 }, (_, i) => ({ namespace: 'a', key: `k${i}` }));

/** A warm-up whose reads put what they are asked for into memory, as far as `read` lets them. */
function aWarmUp({ ready, read }: { ready: () => boolean; read: () => void }) {
  const rules = resolveNamespace({ name: 'a' }, 30);
  const limits = { maxEntries: 1_000, maxBytes: 1e9, policy: 'lru' } as const;
  const l1 = new L1([rules], 1, limits, { kept: () => undefined, left: () => undefined });
  const entry = { version: '1-0', value: Buffer.from('x'), absent: false, tags: [] };
  const hotSet = { read: async () => KEYS, report: async () => undefined };
  const warmUp = new WarmUp({
    // Redis itself is in test/integration/warm-up.test.ts; what matters here is when it fails.
    hotSet,
    hot: new HotKeys({ capacity: 16, now: () => 0, random: () => 0.5 }),
    l1,
    reader: {
      preload: async (items) => {
        read();
        for (const { key } of items) l1.set('a', key, 0, entry, 60_000, 0);
        return items.length;
      },
    },
    partitionOf: () => 0,
    namespaces: () => new Map([['a', rules]]),
    preload: () => 'hot',
    ready,
    now: () => performance.now(),
    random: () => 0.5,
    log: pino({ level: 'silent' }),
  });
  const stop = new AbortController();
  onTestFinished(() => stop.abort());
  warmUp.start(stop.signal);
  return { warmUp, l1 };
}

describe('a warm-up that is interrupted', () => {
  it('goes on where it was, when the agent is ready again', async () => {
    let reads = 0;
    let looks = 0;
    const { l1, warmUp } = aWarmUp({
      // Not for a while after the first batch.
      ready: () => reads !== 1 || ++looks > 5,
      read: () => {
        reads += 1;
      },
    });
    await vi.waitFor(() => expect(l1.entries).toBe(KEYS.length), { timeout: 10_000 });
    // Nothing was read twice.
    expect(warmUp.counters).toMatchObject({ preloaded: KEYS.length, failures: 0 });
  });

  it('tries again where Redis did not answer', async () => {
    let reads = 0;
    const { l1, warmUp } = aWarmUp({
      ready: () => true,
      read: () => {
        reads += 1;
        if (reads === 2) throw new RedisUnavailableError('away');
      },
    });
    await vi.waitFor(() => expect(l1.entries).toBe(KEYS.length), { timeout: 10_000 });
    expect(warmUp.counters).toMatchObject({ preloaded: KEYS.length, failures: 1 });
  });
});
