import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isInShare } from './settings.ts';

describe('the share of keys', () => {
  it('keeps a key that is in it while it grows', () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (key, a, b) => {
          const [less, more] = [Math.min(a, b), Math.max(a, b)];
          expect(isInShare(key, less) && !isInShare(key, more)).toBe(false);
        },
      ),
    );
  });

  it.each([0, 0.01, 0.1, 0.5, 0.9, 1])(
    'is about as large as it says, for keys that look alike: %f',
    (share) => {
      const keys = Array.from({ length: 10_000 }, (_, i) => `gpu/gpu_${i}`);
      const found = keys.filter((key) => isInShare(key, share)).length / keys.length;
      expect(Math.abs(found - share)).toBeLessThan(0.02);
      if (share === 0 || share === 1) expect(found).toBe(share);
    },
  );

  it('is the same in every process, today and after an upgrade', () => {
    expect(['a', 'b', 'c', 'gpu/gpu_123', ''].map((key) => isInShare(key, 0.5))).toMatchInlineSnapshot(`
      [
        true,
        false,
        true,
        true,
        false,
      ]
    `);
  });
});
