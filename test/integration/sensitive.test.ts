import { afterAll, beforeAll, expect, it } from 'vitest';
import { RedisServer } from '../../hack/local/redis-server.ts';
import { standalone, startAgent, type TestAgent } from '../support/cache.ts';

const SECRET = 'hunter2-and-more';

let redis: RedisServer;
let tested: TestAgent;

beforeAll(async () => {
  redis = await RedisServer.start();
  const namespaces = [{ name: 'strict', sensitive: 'refuse' as const }, { name: 'open' }];
  tested = await startAgent({ file: { redis: standalone(redis.port), namespaces } });
});
afterAll(async () => {
  await tested?.stop();
  await redis?.stop();
});

it('refuses what looks like a secret in the namespaces that want it, in values, fills and data of events', async () => {
  const { client } = tested;
  const value = { user: 'u', password: SECRET };
  const refused = expect.objectContaining({
    code: 'EC_CLIENT_INVALID_REQUEST',
    message: expect.stringMatching(/value: got what looks like a password \(pattern password\).*'strict'/),
  });
  const error: unknown = await client.put('strict', 'k', value).catch((reason: unknown) => reason);
  expect(error).toEqual(refused);
  expect(String(error)).not.toContain(SECRET);
  const event = { type: 'manual_invalidation', namespaces: ['strict'], keys: ['k'], data: value };
  await expect(client.publish(event)).rejects.toThrow(/event\.data_json: got what looks like a password/);
  // The caller of a loader has its value all the same; the cache has not.
  expect(await client.getOrLoad('strict', 'loaded', async () => value)).toEqual(value);
  expect((await client.get('strict', 'loaded')).status).toBe('miss');
  await client.put('strict', 'k', { user: 'u', password: '****' });
  await client.put('open', 'k', value);
  const keys = await redis.admin.keys('ec:*:e:strict:*');
  expect(keys.map((key) => key.split(':').at(-1))).toEqual(['k']);
});
