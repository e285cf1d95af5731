import { describe, expect, it, onTestFinished } from 'vitest';
import { bytes } from '../../client/codec.ts';
import { RedisServer } from '../../hack/local/redis-server.ts';
import { standalone, startAgent, type TestAgent } from '../support/cache.ts';

const NAMESPACE = 'market_stats';
const LISTING = Array.from({ length: 200 }, (_, i) => ({
  gpuId: `gpu_${i}`,
  region: 'us-east',
  available: i % 3 === 0,
  perHour: 1 + i / 100,
}));
const PLAIN_BYTES = Buffer.byteLength(JSON.stringify(LISTING));

async function setUp() {
  const redis = await RedisServer.start();
  onTestFinished(() => redis.stop());
  const commands = redis.admin.duplicate();
  onTestFinished(() => commands.disconnect());
  const agent = async (compressAboveBytes: number): Promise<TestAgent> => {
    const namespaces = [{ name: NAMESPACE, compressAboveBytes }];
    const one = await startAgent({ file: { cacheId: 'zip', redis: standalone(redis.port), namespaces } });
    onTestFinished(() => one.stop());
    return one;
  };
  /** Name of the entry of a key. */
  const entryOf = async (key: string): Promise<string> => {
    const [name] = await commands.keys(`ec:*:e:${NAMESPACE}:${key}`);
    if (name === undefined) throw new Error(`no entry of ${key}`);
    return name;
  };
  return { commands, agent, entryOf };
}

describe('values that are compressed in Redis', () => {
  it('are read by every agent, whatever its own setting, and take less memory there', async () => {
    const { commands, agent, entryOf } = await setUp();
    const [zips, plain, reader] = [await agent(1_000), await agent(0), await agent(0)];
    await zips.client.put(NAMESPACE, 'zipped', LISTING, { tags: ['t'] });
    await plain.client.put(NAMESPACE, 'plain', LISTING);
    await zips.client.put(NAMESPACE, 'small', { a: 1 });
    for (const key of ['zipped', 'plain'])
      for (const { client } of [reader, zips, plain])
        expect(await client.get(NAMESPACE, key)).toMatchObject({ status: 'hit', value: LISTING });
    const size = async (key: string) => Number(await commands.memory('USAGE', await entryOf(key)));
    expect(await size('plain')).toBeGreaterThan(PLAIN_BYTES);
    expect(await size('zipped')).toBeLessThan((await size('plain')) / 4);
    expect(await zips.client.stats()).toMatchObject({ l2: { plainBytes: PLAIN_BYTES } });
    // Tags are not part of what is compressed: the scripts in Redis read them.
    await plain.client.invalidate(NAMESPACE, { tags: ['t'] }, { confirm: true });
    expect((await reader.client.get(NAMESPACE, 'zipped')).status).toBe('miss');
  });

  it('may be filled, compared and set, and be absent', async () => {
    const { agent } = await setUp();
    const [one, other] = [await agent(1_000), await agent(0)];
    const load = async () => LISTING;
    expect(await one.client.getOrLoad(NAMESPACE, 'filled', load)).toEqual(LISTING);
    expect(await other.client.get(NAMESPACE, 'filled')).toMatchObject({ value: LISTING, source: 'l2' });
    const found = await other.client.get(NAMESPACE, 'filled');
    const version = found.status === 'hit' ? found.version : '';
    await one.client.put(NAMESPACE, 'filled', [...LISTING, 1], { ifVersion: version });
    await expect(one.client.put(NAMESPACE, 'filled', LISTING, { ifVersion: version })).rejects.toMatchObject({
      code: 'EC_CLIENT_VERSION_CONFLICT',
    });
    expect(await one.client.getOrLoad(NAMESPACE, 'none', async () => undefined)).toBeUndefined();
    expect((await other.client.get(NAMESPACE, 'none')).status).toBe('absent');
  });

  it('count against maxValueBytes as they are, not as they are stored', async () => {
    const { agent } = await setUp();
    const { client } = await agent(1_000);
    await expect(
      client.put(NAMESPACE, 'large', Buffer.alloc(1024 ** 2 + 1), { codec: bytes }),
    ).rejects.toMatchObject({ code: 'EC_CLIENT_INVALID_REQUEST' });
    const full = Buffer.alloc(1024 ** 2);
    await client.put(NAMESPACE, 'full', full, { codec: bytes });
    const found = await client.get(NAMESPACE, 'full', { codec: bytes });
    expect(found.status === 'hit' && found.value.equals(full)).toBe(true);
  });

  it('that are broken are no answer and no miss: the caller’s loader tells', async () => {
    const { commands, agent, entryOf } = await setUp();
    const [one, other] = [await agent(1_000), await agent(0)];
    await one.client.put(NAMESPACE, 'k', LISTING);
    const name = await entryOf('k');
    const raw = (await commands.getBuffer(name)) ?? Buffer.alloc(0);
    for (const broken of [
      raw.subarray(0, raw.length - 20),
      Buffer.from(raw.toString('latin1').replace(' 2 ', ' 64 '), 'latin1'),
    ]) {
      await commands.set(name, broken, 'KEEPTTL');
      expect(await other.client.get(NAMESPACE, 'k')).toMatchObject({ status: 'degraded' });
      expect(await other.client.getOrLoad(NAMESPACE, 'k', async () => 'the truth')).toBe('the truth');
    }
    expect((await other.client.stats()).l2?.unreadable).toBeGreaterThan(1);
    await other.client.put(NAMESPACE, 'k', 'new');
    expect(await one.client.get(NAMESPACE, 'k')).toMatchObject({ value: 'new' });
  });
});
