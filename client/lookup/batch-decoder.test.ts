import fc from 'fast-check';
import { expect, it } from 'vitest';
import { BatchGetResponse } from '../../proto/gen/edgecache/v1/edgecache.ts';
import { decodeBatch } from './batch-decoder.ts';

const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const text = fc.string({ unit: 'grapheme', maxLength: 50 });
const refusal = fc.option(fc.record({ status: uint32, code: text, message: text }), {
  nil: undefined,
  freq: 10,
});
const item = fc.record({
  found: fc.boolean(),
  value: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  version: text,
  ttlMs: uint32,
  source: fc.constantFrom(0 as const, 1 as const, 2 as const),
  stale: fc.boolean(),
  degraded: fc.boolean(),
  leaseToken: text,
  retryAfterMs: uint32,
  absent: fc.boolean(),
  refusal,
  tags: fc.array(text, { maxLength: 3 }),
});
const batch = fc.record({
  id: fc.oneof(uint32, fc.maxSafeNat()),
  items: fc.array(item, { maxLength: 20 }),
  places: fc.array(fc.integer({ min: 0, max: 1023 }), { maxLength: 20 }),
  refusal,
});
const encoded = batch.map((response) => Buffer.from(BatchGetResponse.encode(response).finish()));

it('reads what the generated decoder reads', () => {
  fc.assert(
    fc.property(encoded, (message) => {
      expect(decodeBatch(message)).toEqual(BatchGetResponse.decode(message));
    }),
  );
});

it('knows every field that there is', () => {
  const created = BatchGetResponse.create({ items: [{}] });
  const decoded = decodeBatch(Buffer.from(BatchGetResponse.encode(created).finish()));
  expect(Object.keys(decoded).sort()).toEqual(Object.keys(created).sort());
  expect(Object.keys(decoded.items[0] ?? {}).sort()).toEqual(Object.keys(created.items[0] ?? {}).sort());
});

it('passes over fields of a later contract', () => {
  fc.assert(
    fc.property(encoded, fc.uint8Array({ maxLength: 20 }), (message, bytes) => {
      // Field 99 of each wire type, then what is known.
      const tag = (wire: number) => [((99 << 3) & 127) | 128 | wire, (99 << 3) >> 7];
      const later = Buffer.from([
        ...[...tag(0), 200, 1],
        ...[...tag(1), 1, 2, 3, 4, 5, 6, 7, 8],
        ...[...tag(2), bytes.length, ...bytes],
        ...[...tag(5), 1, 2, 3, 4],
      ]);
      expect(decodeBatch(Buffer.concat([later, message]))).toEqual(BatchGetResponse.decode(message));
    }),
  );
});

it('reads any bytes to their end, or says what is wrong with them', () => {
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), mangled()), (bytes) => {
      try {
        decodeBatch(Buffer.from(bytes));
      } catch (error) {
        expect(error).toBeInstanceOf(Error);
      }
    }),
    { numRuns: 2_000 },
  );
});

it('refuses what is cut short', () => {
  const message = Buffer.from(
    BatchGetResponse.encode(BatchGetResponse.create({ id: 7, items: [{ version: '1-0' }] })).finish(),
  );
  for (let length = 3; length < message.length; length++)
    expect(() => decodeBatch(message.subarray(0, length))).toThrow(RangeError);
});

function mangled(): fc.Arbitrary<Uint8Array> {
  return fc.tuple(encoded, fc.nat(), fc.nat(255)).map(([message, at, byte]) => {
    const changed = Buffer.from(message);
    if (changed.length > 0) changed[at % changed.length] = byte;
    return changed;
  });
}
