import fc from 'fast-check';
import { expect, it } from 'vitest';
import { BatchGetResponse, GetResponse } from '../../proto/gen/edgecache/v1/edgecache.ts';
import { encodeBatch } from './batch-encoder.ts';

const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const ascii = fc.string({ unit: 'grapheme-ascii', maxLength: 200 });
const refusal = fc.option(fc.record({ status: uint32, code: ascii, message: fc.string() }), {
  nil: undefined,
  freq: 10,
});

const item = fc.record({
  found: fc.boolean(),
  value: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  version: ascii,
  ttlMs: uint32,
  source: fc.constantFrom(0 as const, 1 as const, 2 as const),
  stale: fc.boolean(),
  degraded: fc.boolean(),
  leaseToken: ascii,
  retryAfterMs: uint32,
  absent: fc.boolean(),
  refusal,
  tags: fc.array(fc.string({ unit: 'grapheme' }), { maxLength: 3 }),
});

const batch = fc.record({
  id: fc.oneof(uint32, fc.maxSafeNat()),
  items: fc.array(item, { maxLength: 20 }),
  places: fc.array(fc.integer({ min: 0, max: 1023 }), { maxLength: 20 }),
  refusal,
});

it('says what the generated encoder says, byte for byte', () => {
  fc.assert(
    fc.property(batch, (response) => {
      const expected = Buffer.from(BatchGetResponse.encode(response).finish());
      expect(encodeBatch(response).equals(expected)).toBe(true);
    }),
  );
});

it('knows every field that there is', () => {
  // A field that is added to the contract must be added here as well, and to the encoder.
  const known = [
    'found',
    'value',
    'version',
    'ttlMs',
    'source',
    'stale',
    'degraded',
    'leaseToken',
    'retryAfterMs',
    'absent',
    'refusal',
    'tags',
  ];
  expect(Object.keys(GetResponse.create()).sort()).toEqual(known.sort());
  expect(Object.keys(BatchGetResponse.create()).sort()).toEqual(['id', 'items', 'places', 'refusal']);
});
