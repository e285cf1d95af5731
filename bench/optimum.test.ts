import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { optimalHits } from './optimum.ts';

const KEYS = 5;

describe('the optimum', () => {
  it('is the most hits that any choice of what to keep can have', () => {
    const requests = fc.array(fc.nat(KEYS - 1), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(requests, fc.integer({ min: 1, max: 3 }), (trace, size) => {
        expect(optimalHits(Int32Array.from(trace), KEYS, size)).toBe(mostHits(trace, size));
      }),
    );
  });
});

/** By trying all choices: after each request any of the cached keys may go, and so may the one asked for. */
function mostHits(trace: readonly number[], size: number): number {
  let best = new Map<number, number>([[0, 0]]);
  for (const key of trace) {
    const next = new Map<number, number>();
    for (const [cached, hits] of best) {
      const isHit = (cached & (1 << key)) !== 0;
      for (const kept of keepable(cached | (1 << key), size)) {
        next.set(kept, Math.max(next.get(kept) ?? 0, hits + (isHit ? 1 : 0)));
      }
    }
    best = next;
  }
  return Math.max(...best.values());
}

/** The sets of at most `size` keys out of a set of keys, each a mask of bits. */
function keepable(from: number, size: number): number[] {
  const sets = Array.from({ length: 2 ** KEYS }, (_, mask) => mask);
  return sets.filter((mask) => (mask & ~from) === 0 && bits(mask) <= size);
}

function bits(mask: number): number {
  return mask.toString(2).replaceAll('0', '').length;
}
