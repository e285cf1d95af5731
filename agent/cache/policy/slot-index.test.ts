import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SlotIndex } from './slot-index.ts';
import { NONE } from './slot-list.ts';

const SLOTS = 10;

describe('an index of slots', () => {
  it('finds each hash that is in, under a slot of its own, whatever comes and goes', () => {
    // Few different low bits, so that hashes crowd the same places.
    const hash = fc
      .tuple(fc.integer({ min: -3, max: 3 }), fc.constantFrom(0, 30, 31))
      .map(([high, low]) => high * 64 + low);
    fc.assert(
      fc.property(fc.array(hash, { maxLength: 300 }), (hashes) => {
        const index = new SlotIndex(SLOTS);
        const model = new Map<number, number>();
        for (const each of hashes) {
          const known = model.get(each);
          if (known !== undefined) {
            index.delete(known);
            model.delete(each);
          } else if (model.size < SLOTS) model.set(each, index.add(each));
          expect(index.size).toBe(model.size);
          expect(hashes.map((one) => index.find(one))).toEqual(hashes.map((one) => model.get(one) ?? NONE));
          expect(new Set(model.values()).size).toBe(model.size);
          expect(Math.max(NONE, ...model.values())).toBeLessThan(SLOTS);
        }
      }),
    );
  });
});
