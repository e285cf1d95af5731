import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { anyJson, json } from './codec.ts';
import { EdgeCacheClient, type EdgeCacheClientOptions } from './edge-cache-client.ts';
import { RedisUnavailableError } from './errors.ts';
import { FakeAgent, fails } from './testing/fake-agent.ts';

const codec = anyJson;
const text = json((value) => {
  if (typeof value !== 'string') throw new TypeError('not a text');
  return value;
});
const never = () => new Promise(() => undefined);
const redisAway = fails(status.UNAVAILABLE, 'Redis is out of reach', 'EC_REDIS_UNAVAILABLE');

let agent: FakeAgent;
let client: EdgeCacheClient;
let loads: string[];
let fillErrors: (string | undefined)[];
const clients: EdgeCacheClient[] = [];

function connect(options: Partial<EdgeCacheClientOptions> = {}): EdgeCacheClient {
  const made = new EdgeCacheClient({
    addresses: [agent.address],
    connectTimeoutMs: 2_000,
    deadlineMs: 2_000,
    random: () => 0,
    // Time stands still: what is passed over stays so.
    now: () => 0,
    on: {
      load: (why) => loads.push(why),
      fillFailed: (_, __, error) => fillErrors.push(error?.code),
    },
    ...options,
  });
  clients.push(made);
  return made;
}

beforeEach(async () => {
  loads = [];
  fillErrors = [];
  agent = await FakeAgent.start();
  client = connect();
});

afterEach(() => {
  for (const made of clients.splice(0)) made.close();
  agent.stop();
});

describe('an agent', () => {
  it('that says that Redis is away is not taken for one that is away itself', async () => {
    await client.put('ns', 'k', 1);
    agent.next('put', redisAway, redisAway, redisAway);
    await expect(client.put('ns', 'k', 2, { ifVersion: '1-0' })).rejects.toThrow(RedisUnavailableError);
    expect(await client.get('ns', 'k')).toMatchObject({ status: 'hit', value: 1 });
  });

  it('that hangs is waited for a few times, not by every lookup', async () => {
    agent.next('get', never, never, never, never, never);
    for (let i = 0; i < 5; i++) {
      expect(await client.getOrLoad('ns', `k${i}`, async () => i, { codec, deadlineMs: 100 })).toBe(i);
    }
    expect(agent.calls('get').length).toBe(3);
    expect(loads).toEqual(Array(5).fill('unavailable'));
  });

  it('with a fault of its own leaves reads to the loader', async () => {
    agent.next('get', fails(status.INTERNAL, 'a bug', 'EC_INTERNAL'));
    expect(await client.getOrLoad('ns', 'k', async () => 1, { codec })).toBe(1);
    expect(loads).toEqual(['unavailable']);
  });
});

describe('a fill', () => {
  it.each([
    [status.FAILED_PRECONDITION, 'EC_REDIS_REFUSED', 'EC_CLIENT_REFUSED'],
    [status.INVALID_ARGUMENT, 'EC_VALUE_TOO_LARGE', 'EC_CLIENT_INVALID_REQUEST'],
  ])('that is refused (%i %s) does not take the loaded value from its caller', async (grpc, sent, code) => {
    agent.next('fill', fails(grpc, 'no', sent));
    expect(await client.getOrLoad('ns', 'k', async () => 1, { codec })).toBe(1);
    expect(fillErrors).toEqual([code]);
  });
});

describe('a caller', () => {
  it('sees its own write although a load of the same process began before it', async () => {
    let finish: (value: string) => void = () => undefined;
    const truth = new Promise<string>((done) => {
      finish = done;
    });
    const began = new Promise<void>((started) => {
      const load = () => {
        started();
        return truth;
      };
      void client.getOrLoad('ns', 'k', load, { codec: text });
    });
    await began;
    await client.put('ns', 'k', 'new');
    const second = client.getOrLoad('ns', 'k', async () => 'loaded', { codec: text });
    expect(await second).toBe('new');
    finish('old');
  });

  it('gets the source’s answer where the cached one is of another form', async () => {
    await client.put('ns', 'k', 5);
    expect(await client.getOrLoad('ns', 'k', async () => 'five', { codec: text })).toBe('five');
    const many = await client.getOrLoadMany('ns', ['k'], async () => 'five', { codec: text });
    expect(many).toEqual(['five']);
    expect(loads).toEqual(['unreadable', 'unreadable']);
  });

  it('cannot write what no reader could read', async () => {
    const wrong: unknown = 5;
    // @ts-expect-error: what a caller without types may do.
    await expect(client.put<string>('ns', 'k', wrong, { codec: text })).rejects.toMatchObject({
      code: 'EC_CLIENT_VALUE',
    });
    expect(agent.received).toEqual([]);
  });

  it('is answered with a rejection, not an exception, when a value has no form', async () => {
    await expect(client.put('ns', 'k', undefined)).rejects.toMatchObject({ code: 'EC_CLIENT_VALUE' });
  });
});

describe('getOrLoadMany', () => {
  const keys = ['a', 'b', 'a', 'a'];

  it('loads each key once, however often it is named, and fills it', async () => {
    const loaded: string[] = [];
    const load = async (key: string) => {
      loaded.push(key);
      return key.toUpperCase();
    };
    expect(await client.getOrLoadMany('ns', keys, load, { codec })).toEqual(['A', 'B', 'A', 'A']);
    expect(await client.getOrLoadMany('ns', keys, load, { codec })).toEqual(['A', 'B', 'A', 'A']);
    expect(loaded).toEqual(['a', 'b']);
    expect(agent.calls('batchGet').length).toBe(2);
    expect(agent.calls('get').length).toBe(0);
  });

  it('loads each key once without any agent as well', async () => {
    const loaded: string[] = [];
    const load = async (key: string) => {
      loaded.push(key);
      return key;
    };
    const lonely = connect({ addresses: ['127.0.0.1:1'], connectTimeoutMs: 20 });
    expect(await lonely.getOrLoadMany('ns', keys, load, { codec })).toEqual(keys);
    expect(loaded).toEqual(['a', 'b']);
    expect(loads).toEqual(['unavailable', 'unavailable']);
  });

  it('knows what is absent', async () => {
    const load = async () => undefined;
    for (let i = 0; i < 2; i++) {
      expect(await client.getOrLoadMany('ns', ['a'], load, { codec })).toEqual([undefined]);
    }
    expect(loads).toEqual(['miss']);
  });
});
