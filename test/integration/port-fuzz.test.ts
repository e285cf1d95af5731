import { status } from '@grpc/grpc-js';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { anyJson } from '../../client/codec.ts';
import { EdgeCacheClient } from '../../client/edge-cache-client.ts';
import { LocalAgent } from '../../hack/local/local-agent.ts';
import { RedisServer } from '../../hack/local/redis-server.ts';
import {
  BatchGetRequest,
  FillRequest,
  InvalidateRequest,
  PublishRequest,
  PutRequest,
} from '../../proto/gen/edgecache/v1/edgecache.ts';
import { standalone } from '../support/cache.ts';
import { anyBytes, damaged, FUZZ } from '../support/fuzz.ts';
import { failureOf, RawClient } from '../support/raw-client.ts';
import {
  callHeaders,
  END_HEADERS,
  envelope,
  FRAME,
  frame,
  PREFACE,
  RawConnection,
} from '../support/raw-http2.ts';

const METHODS = ['Get', 'BatchGet', 'Put', 'Invalidate', 'Publish', 'Fill', 'Release', 'Stats', 'Explain'];
const TIMES = { ...FUZZ, numRuns: Math.min(FUZZ.numRuns, 300) };

const text = fc.constantFrom(
  'ns',
  'k',
  '',
  'pricing_updated',
  '1.0@1-0',
  'e-1',
  '{}',
  '\u0000',
  'ü'.repeat(300),
);
const texts = fc.array(text, { maxLength: 3 });
const event = fc.record({
  eventId: text,
  eventType: text,
  resourceId: text,
  dataJson: text,
  timestamp: fc.double(),
  sourceNode: text,
  affectedNamespaces: texts,
  keys: texts,
  tags: texts,
});
const confirm = fc.constant(undefined);
const entry = { namespace: text, key: text, value: anyBytes, ttlMs: fc.nat(), tags: texts };
/** Requests that are whole, and nearly make sense. */
const request = fc
  .oneof(
    fc
      .record({
        id: fc.nat(),
        items: fc.array(fc.record({ namespace: text, key: text, minToken: text, wantLease: fc.boolean() }), {
          maxLength: 4,
        }),
        split: fc.boolean(),
        wantTags: fc.boolean(),
        refreshBelowMs: fc.nat(),
        traces: fc.constant(undefined),
      })
      .map((one) => BatchGetRequest.encode(one).finish()),
    fc
      .record({ ...entry, ifVersion: text, event: fc.option(event, { nil: undefined }), confirm })
      .map((one) => PutRequest.encode(one).finish()),
    fc
      .record({ ...entry, leaseToken: text, absent: fc.boolean() })
      .map((one) => FillRequest.encode(one).finish()),
    fc
      .record({ namespace: text, keys: texts, tags: texts, reason: text, eventId: text, confirm })
      .map((one) => InvalidateRequest.encode(one).finish()),
    fc
      .record({ event: fc.option(event, { nil: undefined }), confirm })
      .map((one) => PublishRequest.encode(one).finish()),
  )
  .map((bytes) => Buffer.from(bytes));

describe('the gRPC port and what nobody should send', () => {
  let redis: RedisServer;
  let agent: LocalAgent;
  let client: EdgeCacheClient;

  beforeAll(async () => {
    redis = await RedisServer.start();
    const file = { redis: standalone(redis.port), namespaces: [{ name: 'ns' }] };
    agent = await LocalAgent.start({ nodeId: 'fuzzed', file });
    client = new EdgeCacheClient({ addresses: [agent.address], deadlineMs: 10_000, connectTimeoutMs: 5_000 });
  });

  afterAll(async () => {
    client?.close();
    await agent?.stop();
    await redis?.stop();
  });

  /** One that was ended has no process id any more; one that was started again has another. */
  async function isWell(): Promise<void> {
    await client.put('ns', 'well', 'v', { codec: anyJson });
    expect(await client.get('ns', 'well', { codec: anyJson })).toMatchObject({ value: 'v' });
    expect(agent.logTail()).not.toMatch(/"level":(50|60)/);
  }

  it('answers any message to any call with an answer, or with a refusal that it meant', async () => {
    const raw = new RawClient(agent.address);
    const property = fc.asyncProperty(
      fc.constantFrom(...METHODS),
      fc.oneof(anyBytes, request, damaged(request)),
      async (method, bytes) => {
        let failed = true;
        const failure = await failureOf(raw.bytes(method, bytes)).catch((error: unknown) => {
          failed = !(error instanceof Error && error.message === 'the call succeeded');
          if (failed) throw error;
          return undefined;
        });
        if (failure === undefined) return;
        const { code, reason, message } = failure;
        // What cannot be read as the call's message never comes to the product's own code.
        const meant =
          reason === ''
            ? code === status.INTERNAL && /Error deserializing request/.test(message)
            : reason !== 'EC_INTERNAL';
        expect([method, code, reason, message, meant]).toEqual([method, code, reason, message, true]);
      },
    );
    await fc.assert(property, TIMES);
    raw.close();
    await isWell();
  });

  it('lives on, whatever bytes and frames a socket brings', async () => {
    const anyFrame = fc
      .tuple(fc.nat(255), fc.nat(255), fc.oneof(fc.nat(9), fc.nat(2 ** 31 - 1)), anyBytes)
      .map(([type, flags, stream, payload]) => frame(type, flags, stream, payload));
    const knownFrame = fc
      .tuple(fc.constantFrom(...Object.values(FRAME)), fc.nat(255), fc.nat(5), anyBytes)
      .map(([type, flags, stream, payload]) => frame(type, flags, stream, payload));
    const aCall = fc
      .tuple(fc.constantFrom('Get', 'Lookup', 'Follow', 'Watch', 'Nope'), request)
      .map(([method, message]) =>
        Buffer.concat([
          frame(FRAME.headers, END_HEADERS, 1, callHeaders(`/edgecache.v1.EdgeCache/${method}`)),
          frame(FRAME.data, 0, 1, envelope(message)),
        ]),
      );
    const spoken = fc
      .array(fc.oneof(anyFrame, knownFrame, damaged(aCall)), { maxLength: 6 })
      .map((frames) => Buffer.concat([PREFACE, frame(FRAME.settings, 0, 0), ...frames]));
    const property = fc.asyncProperty(fc.oneof(anyBytes, spoken, damaged(spoken)), async (bytes) => {
      const connection = await RawConnection.open(agent.address);
      await connection.send(bytes);
      connection.socket.end();
      connection.socket.resume();
      // Some are thrown out, some would be waited for; either is right.
      await Promise.race([connection.closed, isWell()]);
      connection.close();
    });
    await fc.assert(property, TIMES);
    await isWell();
    expect(agent.restarts).toBe(0);
  });
});
