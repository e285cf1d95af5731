import type { MethodDefinition } from '@grpc/grpc-js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  BatchGetRequest,
  BatchGetResponse,
  EdgeCacheService,
  GetRequest,
  InvalidateRequest,
  PublishRequest,
  PutRequest,
} from '../../proto/gen/edgecache/v1/edgecache.ts';
import { anyBytes, damaged, FUZZ, orRefusal } from '../../test/support/fuzz.ts';
import { encodeBatch } from './batch-encoder.ts';

/** What grpc-js answers with INTERNAL: a message that cannot be read. */
const isUnreadable = (error: unknown) => error instanceof Error;

const text = fc.string({ maxLength: 12 });
const event = fc.record({
  eventId: text,
  eventType: text,
  resourceId: text,
  dataJson: text,
  timestamp: fc.double(),
  sourceNode: text,
  affectedNamespaces: fc.array(text, { maxLength: 2 }),
  keys: fc.array(text, { maxLength: 2 }),
  tags: fc.array(text, { maxLength: 2 }),
});
const get = fc.record({ namespace: text, key: text, minToken: text, wantLease: fc.boolean() });
const requests = fc
  .oneof(
    get.map((one) => GetRequest.encode(one).finish()),
    fc
      .record({
        id: fc.maxSafeNat(),
        items: fc.array(get, { maxLength: 4 }),
        split: fc.boolean(),
        wantTags: fc.boolean(),
        refreshBelowMs: fc.nat(),
        traces: fc.constant(undefined),
      })
      .map((one) => BatchGetRequest.encode(one).finish()),
    fc
      .record({
        namespace: text,
        key: text,
        value: anyBytes,
        ttlMs: fc.nat(),
        tags: fc.array(text, { maxLength: 2 }),
        ifVersion: text,
        event: fc.option(event, { nil: undefined }),
        confirm: fc.constant(undefined),
      })
      .map((one) => PutRequest.encode(one).finish()),
    fc
      .record({
        namespace: text,
        keys: fc.array(text, { maxLength: 2 }),
        tags: fc.array(text, { maxLength: 2 }),
        reason: text,
        eventId: text,
        confirm: fc.constant(undefined),
      })
      .map((one) => InvalidateRequest.encode(one).finish()),
    fc
      .record({ event: fc.option(event, { nil: undefined }), confirm: fc.constant(undefined) })
      .map((one) => PublishRequest.encode(one).finish()),
  )
  .map((bytes) => Buffer.from(bytes));

describe('requests of every call', () => {
  const methods: [string, MethodDefinition<unknown, unknown>][] = Object.entries(EdgeCacheService).map(
    // The definitions differ in their types alone, and this is about bytes.
    ([name, method]) => [name, method as unknown as MethodDefinition<unknown, unknown>],
  );

  it.each(methods)(
    '%s: any bytes are read or refused, and what was read is the same when sent again',
    (_, method) => {
      const property = fc.property(fc.oneof(anyBytes, damaged(requests)), (bytes) => {
        const message = orRefusal(() => method.requestDeserialize(bytes), isUnreadable);
        if (message === undefined) return;
        const again = method.requestDeserialize(method.requestSerialize(message));
        expect(method.requestSerialize(again).equals(method.requestSerialize(message))).toBe(true);
      });
      fc.assert(property, FUZZ);
    },
  );
});

describe('answers to a batch', () => {
  it('that were read from any bytes are encoded as the generated encoder does', () => {
    const property = fc.property(fc.oneof(anyBytes, damaged(requests)), (bytes) => {
      const message = orRefusal(() => BatchGetResponse.decode(bytes), isUnreadable);
      if (message === undefined) return;
      const encoded = orRefusal(() => Buffer.from(BatchGetResponse.encode(message).finish()), isUnreadable);
      if (encoded === undefined || !isOurs(message)) return;
      expect(encodeBatch(message).equals(encoded)).toBe(true);
    });
    fc.assert(property, FUZZ);
  });
});

/** What an agent makes: versions and leases are ASCII, numbers are not negative, and there are two sources. */
function isOurs({ id, items, places }: BatchGetResponse): boolean {
  const isAscii = (value: string) => /^[\x20-\x7e]*$/.test(value);
  return (
    id >= 0 &&
    places.every((place) => place >= 0) &&
    items.every(
      ({ version, leaseToken, source }) =>
        isAscii(version) && isAscii(leaseToken) && source >= 0 && source <= 2,
    )
  );
}
