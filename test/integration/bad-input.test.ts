import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../../hack/local/children.ts';
import { RedisServer } from '../../hack/local/redis-server.ts';
import { standalone, startAgent, type TestAgent } from '../support/cache.ts';
import { failureOf, METHODS, RawClient } from '../support/raw-client.ts';

const BATCH = { id: 1, split: false, wantTags: false, refreshBelowMs: 0, traces: undefined };
const GET = { namespace: 'small', key: 'k', minToken: '', wantLease: false };
const PUT = {
  namespace: 'small',
  key: 'k',
  value: Buffer.from('1'),
  ttlMs: 0,
  tags: [],
  ifVersion: '',
  event: undefined,
  confirm: undefined,
};
const EVENT = {
  eventId: '',
  eventType: 'pricing_updated',
  resourceId: '',
  dataJson: '',
  timestamp: 0,
  sourceNode: '',
  affectedNamespaces: ['small'],
  keys: [],
  tags: [],
};
const FILL = {
  namespace: 'small',
  key: 'k',
  value: Buffer.from('1'),
  ttlMs: 0,
  tags: [],
  leaseToken: 'nobody-gave',
  absent: false,
};
const INVALIDATE = { namespace: 'small', keys: [], tags: [], reason: '', eventId: '', confirm: undefined };

describe('bad input', () => {
  let redis: RedisServer;
  let one: TestAgent;
  let raw: RawClient;

  beforeAll(async () => {
    redis = await RedisServer.start();
    const namespaces = [{ name: 'small', maxValueBytes: 100, ttlSeconds: 60 }, { name: 'plain' }];
    one = await startAgent({ file: { redis: standalone(redis.port), namespaces, l1: { maxEntries: 10 } } });
    raw = new RawClient(one.address);
  });

  afterAll(async () => {
    raw?.close();
    await one?.stop();
    await redis?.stop();
  });

  const call = () => raw;
  const cases: [string, () => Promise<unknown>, number, RegExp][] = [
    [
      'an unknown namespace',
      () => call().call(METHODS.get, { ...GET, namespace: 'nope' }),
      status.NOT_FOUND,
      /'nope'.*small, plain/,
    ],
    [
      'an empty key',
      () => call().call(METHODS.get, { ...GET, key: '' }),
      status.INVALID_ARGUMENT,
      /key: got 0 bytes; must be 1 to 512/,
    ],
    [
      'a key of 513 bytes',
      () => call().call(METHODS.put, { ...PUT, key: `${'ü'.repeat(256)}x` }),
      status.INVALID_ARGUMENT,
      /513 bytes/,
    ],
    [
      'a value too large',
      () => call().call(METHODS.put, { ...PUT, value: Buffer.alloc(101) }),
      status.INVALID_ARGUMENT,
      /101 bytes.*at most 100 \(maxValueBytes\)/,
    ],
    [
      '33 tags',
      () => call().call(METHODS.put, { ...PUT, tags: Array.from({ length: 33 }, (_, i) => `t${i}`) }),
      status.INVALID_ARGUMENT,
      /33 tags; must be at most 32/,
    ],
    [
      'an empty tag',
      () => call().call(METHODS.put, { ...PUT, tags: [''] }),
      status.INVALID_ARGUMENT,
      /tags\[0\]/,
    ],
    [
      'a TTL of a year',
      () => call().call(METHODS.put, { ...PUT, ttlMs: 3_153_600_000 }),
      status.INVALID_ARGUMENT,
      /ttl_ms/,
    ],
    [
      'a condition that is no version',
      () => call().call(METHODS.put, { ...PUT, ifVersion: 'latest' }),
      status.INVALID_ARGUMENT,
      /if_version.*"0"/,
    ],
    [
      'a put whose event names other keys',
      () => call().call(METHODS.put, { ...PUT, event: { ...EVENT, keys: ['other'] } }),
      status.INVALID_ARGUMENT,
      /publish an event of its own/,
    ],
    [
      'a batch of 1,025',
      () => call().call(METHODS.batchGet, { ...BATCH, items: Array.from({ length: 1025 }, () => GET) }),
      status.INVALID_ARGUMENT,
      /1025 items; must be 1 to 1024/,
    ],
    [
      'an empty batch',
      () => call().call(METHODS.batchGet, { ...BATCH, items: [] }),
      status.INVALID_ARGUMENT,
      /0 items/,
    ],
    [
      'event data that is not JSON',
      () => call().call(METHODS.publish, { event: { ...EVENT, dataJson: '{oops' }, confirm: undefined }),
      status.INVALID_ARGUMENT,
      /data_json.*must be a JSON object/,
    ],
    [
      'event data that is a list',
      () => call().call(METHODS.publish, { event: { ...EVENT, dataJson: '[1]' }, confirm: undefined }),
      status.INVALID_ARGUMENT,
      /must be a JSON object/,
    ],
    [
      'event data of 65 KiB',
      () =>
        call().call(METHODS.publish, {
          event: { ...EVENT, dataJson: `{"a":"${'x'.repeat(66_560)}"}` },
          confirm: undefined,
        }),
      status.INVALID_ARGUMENT,
      /at most 65536/,
    ],
    [
      'an event id that JSON would have to escape',
      () => call().call(METHODS.publish, { event: { ...EVENT, eventId: 'a"b' }, confirm: undefined }),
      status.INVALID_ARGUMENT,
      /event_id/,
    ],
    [
      'an event type in capitals',
      () =>
        call().call(METHODS.publish, {
          event: { ...EVENT, eventType: 'PricingUpdated' },
          confirm: undefined,
        }),
      status.INVALID_ARGUMENT,
      /event_type.*snake case/,
    ],
    [
      'an event without a type',
      () => call().call(METHODS.publish, { event: { ...EVENT, eventType: '' }, confirm: undefined }),
      status.INVALID_ARGUMENT,
      /event_type/,
    ],
    [
      'an event that touches nothing',
      () => call().call(METHODS.publish, { event: { ...EVENT, affectedNamespaces: [] }, confirm: undefined }),
      status.INVALID_ARGUMENT,
      /none lists 'pricing_updated'/,
    ],
    [
      'an event for an unknown namespace',
      () =>
        call().call(METHODS.publish, {
          event: { ...EVENT, affectedNamespaces: ['nope'] },
          confirm: undefined,
        }),
      status.NOT_FOUND,
      /'nope'/,
    ],
    [
      'an invalidation of an empty key',
      () => call().call(METHODS.invalidate, { ...INVALIDATE, keys: [''] }),
      status.INVALID_ARGUMENT,
      /keys\[0\]/,
    ],
    [
      'a token that no change returned',
      () => call().call(METHODS.get, { ...GET, minToken: 'yesterday' }),
      status.INVALID_ARGUMENT,
      /token must be one that a change returned/,
    ],
    [
      'a lease token of a wrong form',
      () => call().call(METHODS.fill, { ...FILL, leaseToken: 'a b' }),
      status.INVALID_ARGUMENT,
      /lease_token/,
    ],
    [
      'a message that is not protobuf',
      () => call().bytes('Get', Buffer.from([0xff, 0xff, 0xff, 0xff])),
      status.INTERNAL,
      /./,
    ],
    ['a truncated message', () => call().bytes('Put', Buffer.from([0x0a, 0x7f, 0x61])), status.INTERNAL, /./],
    [
      'a method that does not exist',
      () => call().bytes('Destroy', Buffer.alloc(0)),
      status.UNIMPLEMENTED,
      /./,
    ],
  ];

  it.each(cases)(
    '%s is refused with a status and a reason, and harms nothing else',
    async (_name, send, code, message) => {
      await one.client.put('small', 'bystander', 'here');
      const failure = await failureOf(send());
      expect(failure.code).toBe(code);
      expect(failure.message).toMatch(message);
      expect(await one.client.get('small', 'bystander')).toMatchObject({ status: 'hit', value: 'here' });
    },
  );

  it('a fill with a lease that nobody gave is not accepted', async () => {
    expect(await raw.call(METHODS.fill, FILL)).toMatchObject({ accepted: false, version: '' });
    expect((await one.client.get('small', 'k')).status).toBe('miss');
  });

  it('a poisoned message is counted, logged and skipped; what follows is applied', async () => {
    const { counters } = await events();
    const channel = 'ec:{default:0}:events';
    const poison = [
      '',
      'not json',
      '{}',
      '[]',
      '{"version":"x"}',
      `{"version":"1-1","prev":"0-0","keys":${'['.repeat(50)}`,
      'x'.repeat(3_000_000),
    ];
    for (const message of poison) await redis.admin.spublish(channel, message);
    await until('all were counted', async () => (await events()).counters === counters + poison.length);
    await one.client.put('plain', 'after', 1, { confirm: true });
    expect(await one.client.get('plain', 'after')).toMatchObject({ status: 'hit', value: 1 });
    expect((await one.client.stats()).status).toBe('healthy');
  });

  async function events() {
    const text = await (await one.http('/metrics')).text();
    return { counters: Number(/^edgecache_event_poisoned_total (\d+)/m.exec(text)?.[1]) };
  }

  it('a full L1 evicts and goes on answering', async () => {
    const keys = Array.from({ length: 100 }, (_, i) => `full${i}`);
    for (const key of keys) await one.client.put('plain', key, key);
    const found = await one.client.getMany('plain', keys);
    expect(found.every(({ status: what }) => what === 'hit')).toBe(true);
    const stats = await one.client.stats();
    expect(stats.l1?.entries).toBeLessThanOrEqual(10);
    expect(stats.l1?.evictions).toBeGreaterThanOrEqual(90);
  });
});
