import { describe, expect, it } from 'vitest';
import { GhostQueue } from './ghost-queue.ts';
import { mix } from './key-hash.ts';

const hashes = (from: number, count: number) => Array.from({ length: count }, (_, i) => mix(from + i));

describe('a ghost queue', () => {
  it('remembers the newest keys, each until it is taken', () => {
    const queue = new GhostQueue();
    for (const hash of hashes(0, 1_000)) queue.add(hash, 100);
    const remembered = hashes(900, 100).filter((hash) => queue.take(hash));
    // Buckets that happen to be full lose a few early.
    expect(remembered.length).toBeGreaterThanOrEqual(80);
    expect(remembered.some((hash) => queue.take(hash))).toBe(false);
  });

  it('has forgotten what is older than its limit, however roomy its table', () => {
    const queue = new GhostQueue();
    for (const hash of hashes(0, 101)) queue.add(hash, 100);
    expect(queue.take(mix(0))).toBe(false);
  });

  it('forgets sooner when its limit shrinks, and keeps what it has when it grows', () => {
    const queue = new GhostQueue();
    for (const hash of hashes(0, 8)) queue.add(hash, 8);
    queue.add(mix(100), 1_000);
    expect(hashes(0, 8).filter((hash) => queue.take(hash)).length).toBeGreaterThanOrEqual(6);
    for (const hash of hashes(200, 20)) queue.add(hash, 1_000);
    queue.add(mix(300), 2);
    expect(queue.take(mix(210))).toBe(false);
    expect(queue.take(mix(300))).toBe(true);
  });

  it('remembers nothing without room, nor after it was cleared', () => {
    const queue = new GhostQueue();
    queue.add(mix(1), 0);
    expect(queue.take(mix(1))).toBe(false);
    queue.add(mix(2), 10);
    queue.clear();
    expect(queue.take(mix(2))).toBe(false);
  });
});
