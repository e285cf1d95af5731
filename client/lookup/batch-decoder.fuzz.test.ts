import fc from 'fast-check';
import { expect, it } from 'vitest';
import { BatchGetResponse } from '../../proto/gen/edgecache/v1/edgecache.ts';
import { anyBytes, damaged, FUZZ, orRefusal } from '../../test/support/fuzz.ts';
import { decodeBatch } from './batch-decoder.ts';

const item = fc.record({
  found: fc.boolean(),
  value: anyBytes,
  version: fc.string({ maxLength: 8 }),
  ttlMs: fc.nat(),
  source: fc.constantFrom(0 as const, 1 as const, 2 as const),
  stale: fc.boolean(),
  degraded: fc.boolean(),
  leaseToken: fc.string({ maxLength: 8 }),
  retryAfterMs: fc.nat(),
  absent: fc.boolean(),
  refusal: fc.option(fc.record({ status: fc.nat(16), code: fc.string(), message: fc.string() }), {
    nil: undefined,
  }),
  tags: fc.array(fc.string({ maxLength: 8 }), { maxLength: 2 }),
});
const batch = fc
  .record({
    id: fc.maxSafeNat(),
    items: fc.array(item, { maxLength: 3 }),
    places: fc.array(fc.nat(1023), { maxLength: 3 }),
    refusal: fc.constant(undefined),
  })
  .map((response) => Buffer.from(BatchGetResponse.encode(response).finish()));

it('reads or refuses any bytes, and never reads beyond them', () => {
  const property = fc.property(fc.oneof(anyBytes, damaged(batch)), (bytes) => {
    const read = orRefusal(
      () => decodeBatch(bytes),
      (error) => error instanceof Error,
    );
    const valueBytes = read?.items.reduce((sum, { value }) => sum + value.length, 0) ?? 0;
    expect(valueBytes).toBeLessThanOrEqual(bytes.length);
  });
  fc.assert(property, FUZZ);
});

it('reads what an agent encodes as the generated decoder does', () => {
  fc.assert(
    fc.property(batch, (bytes) => {
      const expected = BatchGetResponse.decode(bytes);
      expect(decodeBatch(bytes)).toEqual(expected);
    }),
    FUZZ,
  );
});
