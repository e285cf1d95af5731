import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { resolveNamespace } from '../../api/namespace.ts';
import type { WatchResponse } from '../../proto/gen/edgecache/v1/edgecache.ts';
import { freshUntil } from './freshness.ts';
import { Watchers } from './watchers.ts';

class FakeSink {
  readonly sent: NonNullable<WatchResponse['kind']>[] = [];
  room = Number.POSITIVE_INFINITY;
  ended = false;

  write({ kind }: WatchResponse): boolean {
    if (kind !== undefined) this.sent.push(kind);
    return this.sent.length < this.room;
  }

  end(): void {
    this.ended = true;
  }

  get kinds(): string[] {
    return this.sent.map(({ $case }) => $case);
  }
}

let fresh: number;
let watchers: Watchers;
const now = () => performance.now();

function join(leaseMs = 10_000, namespaces: string[] = []) {
  const sink = new FakeSink();
  const watcher = watchers.add({
    sink,
    leaseMs,
    namespaces: namespaces.length === 0 ? undefined : new Set(namespaces),
  });
  return { sink, watcher };
}

const change = (namespace: string, key: string) => ({
  namespace,
  keys: [key],
  tags: [],
  version: '1-0',
  eventId: 'e',
});

/** Whether a promise has been kept by now. */
async function isDone(promise: Promise<unknown> | undefined): Promise<boolean> {
  let done = false;
  void promise?.then(() => {
    done = true;
  });
  await vi.advanceTimersByTimeAsync(0);
  return done;
}

beforeEach(() => {
  vi.useFakeTimers();
  fresh = now() + 1_000;
  watchers = new Watchers({ now, freshUntil: () => fresh });
});

afterEach(() => {
  vi.useRealTimers();
});

describe('a lease', () => {
  it('is what is left of the agent’s own, and no longer than the client wants', () => {
    const { sink, watcher } = join();
    vi.advanceTimersByTime(400);
    watchers.renew(watcher, 7);
    expect(sink.sent).toEqual([
      { $case: 'lease', value: { leaseMs: 1_000, nonce: 0 } },
      { $case: 'lease', value: { leaseMs: 600, nonce: 7 } },
    ]);
    expect(join(50).sink.sent[0]).toMatchObject({ value: { leaseMs: 50 } });
  });

  it('is none where the agent itself is in doubt', () => {
    fresh = 0;
    const { sink, watcher } = join();
    expect(sink.sent).toEqual([{ $case: 'lease', value: { leaseMs: 0, nonce: 0 } }]);
    expect(watcher.grantedUntil).toBeLessThanOrEqual(now());
  });
});

describe('a confirmed change', () => {
  it('waits for whoever has a lease to acknowledge what was sent before', async () => {
    const { sink, watcher } = join();
    watchers.invalidated(change('ns', 'k'));
    const settled = watchers.settled(['ns']);
    expect(sink.kinds).toEqual(['lease', 'invalidation', 'barrier']);
    expect(await isDone(settled)).toBe(false);
    watcher.acknowledge(1);
    expect(await isDone(settled)).toBe(true);
  });

  it('waits no longer than the lease of one who says nothing', async () => {
    join();
    const settled = watchers.settled(['ns']);
    await vi.advanceTimersByTimeAsync(999);
    expect(await isDone(settled)).toBe(false);
    await vi.advanceTimersByTimeAsync(3);
    expect(await isDone(settled)).toBe(true);
  });

  it('waits for the lease of one whose connection broke, who may be alive behind it', async () => {
    const { watcher } = join();
    watchers.remove(watcher, false);
    const settled = watchers.settled(['ns']);
    await vi.advanceTimersByTimeAsync(990);
    expect(await isDone(settled)).toBe(false);
    await vi.advanceTimersByTimeAsync(20);
    expect(await isDone(settled)).toBe(true);
  });

  it('goes on waiting for one whose connection breaks meanwhile', async () => {
    const { watcher } = join();
    const settled = watchers.settled(['ns']);
    watchers.remove(watcher, false);
    await vi.advanceTimersByTimeAsync(500);
    expect(await isDone(settled)).toBe(false);
    await vi.advanceTimersByTimeAsync(502);
    expect(await isDone(settled)).toBe(true);
  });

  it('waits for nobody who has no lease, has left, or watches something else', () => {
    const left = join();
    watchers.remove(left.watcher, true);
    join(0);
    join(10_000, ['other']);
    expect(watchers.settled(['ns'])).toBeUndefined();
    vi.advanceTimersByTime(1_001);
    expect(watchers.settled(['other'])).toBeUndefined();
  });
});

describe('a watcher that does not read', () => {
  it('is told to start over instead of being sent everything, and keeps the barrier', async () => {
    const { sink, watcher } = join();
    sink.room = 1;
    for (let i = 0; i < 600; i++) watchers.invalidated(change('ns', `k${i}`));
    const settled = watchers.settled(['ns']);
    for (let i = 0; i < 2_000; i++) watchers.invalidated(change('ns', `k${i}`));
    expect(watcher.waiting).toBeLessThanOrEqual(1_024);
    sink.sent.length = 0;
    sink.room = Number.POSITIVE_INFINITY;
    watcher.drained();
    expect(sink.kinds.slice(0, 2)).toEqual(['reset', 'barrier']);
    expect(await isDone(settled)).toBe(false);
    watcher.acknowledge(1);
    expect(await isDone(settled)).toBe(true);
  });

  it('gets a lease only behind what was invalidated before', () => {
    const { sink, watcher } = join();
    sink.room = 1;
    watchers.invalidated(change('ns', 'a'));
    watchers.invalidated(change('ns', 'b'));
    watchers.renew(watcher, 5);
    sink.room = Number.POSITIVE_INFINITY;
    watcher.drained();
    expect(sink.kinds).toEqual(['lease', 'invalidation', 'invalidation', 'lease']);
  });
});

describe('an agent that stops', () => {
  it('gives no more leases and waits for those that it gave', async () => {
    const { sink, watcher } = join();
    const stopped = watchers.stop();
    watchers.renew(watcher, 9);
    expect(sink.sent.slice(1)).toMatchObject([
      { $case: 'reset' },
      { $case: 'barrier' },
      { $case: 'lease', value: { leaseMs: 0, nonce: 9 } },
    ]);
    expect(await isDone(stopped)).toBe(false);
    watcher.acknowledge(1);
    expect(await isDone(stopped)).toBe(true);
    expect(sink.ended).toBe(true);
  });
});

it('tells those who only look on that nothing is kept from them', async () => {
  const { sink } = join(0, ['ns']);
  watchers.invalidated(change('other', 'k'));
  await vi.advanceTimersByTimeAsync(1_001);
  expect(sink.kinds).toEqual(['lease', 'lease']);
});

describe('freshness of an agent', () => {
  const rules = (name: string, critical: boolean) => resolveNamespace({ name, critical }, 30);
  const namespaces = new Map([
    ['a', rules('a', true)],
    ['b', rules('b', false)],
  ]);
  const partitions = [
    { freshCriticalUntil: 10, freshBulkUntil: 30, settlingUntil: 0 },
    { freshCriticalUntil: 20, freshBulkUntil: 5, settlingUntil: 2 },
  ];

  it('is that of its least fresh partition, in the lanes that are watched', () => {
    expect(freshUntil(partitions, namespaces, new Set(['a']), 3)).toBe(10);
    expect(freshUntil(partitions, namespaces, new Set(['b']), 1)).toBe(5);
    expect(freshUntil(partitions, namespaces, undefined, 3)).toBe(5);
  });

  it('is none in critical namespaces while queued changes are being sent', () => {
    expect(freshUntil(partitions, namespaces, new Set(['a']), 1)).toBe(0);
  });

  it('is none where nothing is watched that it has', () => {
    expect(freshUntil(partitions, namespaces, new Set(['unheard_of']), 3)).toBe(0);
  });
});
