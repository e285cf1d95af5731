import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { WorkQueue } from './queue.ts';

describe('a work queue', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  const aQueue = (timing = {}) => new WorkQueue({ baseMs: 1_000, maxMs: 8_000, ...timing }, {}, () => 1);

  test('hands out a key once, however often it was added', async () => {
    const queue = aQueue();
    for (const key of ['a', 'b', 'a', 'a']) queue.add(key);
    expect([await queue.take(), await queue.take(), queue.depth]).toEqual(['a', 'b', 0]);
  });

  test('never hands a key to two workers, and hands it out again if it was added meanwhile', async () => {
    const queue = aQueue();
    queue.add('a');
    await queue.take();
    queue.add('a');
    const next = queue.take();
    const first = await Promise.race([next, Promise.resolve('nothing yet')]);
    expect(first).toBe('nothing yet');
    queue.done('a');
    expect(await next).toBe('a');
  });

  test('waits twice as long after each failure, up to the limit, and anew after a success', async () => {
    const queue = aQueue();
    const waits: number[] = [];
    for (let i = 0; i < 6; i += 1) {
      const startedAt = Date.now();
      queue.addRateLimited('a');
      const taken = queue.take();
      await vi.advanceTimersToNextTimerAsync();
      await taken;
      queue.done('a');
      waits.push(Date.now() - startedAt);
      if (i === 4) queue.forget('a');
    }
    expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 8_000, 1_000]);
  });

  test('limits retries of all keys together', () => {
    const queue = aQueue({ baseMs: 1, retriesPerSecond: 10, retryBurst: 5 });
    for (let i = 0; i < 25; i += 1) queue.addRateLimited(`key-${i}`);
    vi.advanceTimersByTime(10);
    expect(queue.depth).toBe(5);
    vi.advanceTimersByTime(1_000);
    expect(queue.depth).toBeGreaterThanOrEqual(14);
    expect(queue.depth).toBeLessThanOrEqual(16);
  });

  test('of several delays the earliest wins', () => {
    const queue = aQueue();
    queue.addAfter('a', 5_000);
    queue.addAfter('a', 100);
    queue.addAfter('a', 9_000);
    vi.advanceTimersByTime(100);
    expect(queue.depth).toBe(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('wakes all who wait when it is stopped, and takes nothing any more', async () => {
    const queue = aQueue();
    const waiting = [queue.take(), queue.take()];
    queue.addAfter('a', 10);
    queue.stop();
    queue.add('b');
    expect(await Promise.all(waiting)).toEqual([undefined, undefined]);
    expect(await queue.take()).toBeUndefined();
    expect(vi.getTimerCount()).toBe(0);
  });
});
