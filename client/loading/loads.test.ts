import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { until } from '../../hack/local/children.ts';
import { type FillRequest, GetResponse } from '../../proto/gen/edgecache/v1/edgecache.ts';
import { anyJson } from '../codec.ts';
import { EdgeCacheClient, type EdgeCacheClientOptions } from '../edge-cache-client.ts';
import { FakeAgent, fails } from '../testing/fake-agent.ts';

const codec = anyJson;
let agent: FakeAgent;
let client: EdgeCacheClient;
let loads: string[];
let stale: string[];
let refreshFailures: unknown[];
let random: number;
let time: number;
const clients: EdgeCacheClient[] = [];

function connect(options: Partial<EdgeCacheClientOptions> = {}): EdgeCacheClient {
  const made = new EdgeCacheClient({
    addresses: [agent.address],
    connectTimeoutMs: 2_000,
    deadlineMs: 2_000,
    random: () => random,
    now: () => time,
    on: {
      load: (why) => loads.push(why),
      staleGiven: (_, why) => stale.push(why),
      refreshFailed: (_, error) => refreshFailures.push(error),
    },
    ...options,
  });
  clients.push(made);
  return made;
}

beforeEach(async () => {
  loads = [];
  stale = [];
  refreshFailures = [];
  random = 0;
  time = 0;
  agent = await FakeAgent.start({ streams: true });
  client = connect();
});

afterEach(() => {
  for (const made of clients.splice(0)) made.close();
  agent.stop();
});

function fills(): FillRequest[] {
  return agent.calls('fill').map((request) => request as FillRequest);
}

function aPromise<T>() {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

describe('a refresh before the end', () => {
  const options = { codec, ttlMs: 10_000, refreshAfter: 0.8 };

  it('is done by one caller, in the background; all are given what there is', async () => {
    await client.getOrLoad('ns', 'k', async () => 'first', options);
    agent.ttlMs = 1_999;
    const other = connect();
    const load = async () => 'second';
    const values = await Promise.all(
      [client, other, client, other].map((one) => one.getOrLoad('ns', 'k', load, options)),
    );
    expect(values).toEqual(Array(4).fill('first'));
    await until('it is refreshed', () => agent.stored('ns', 'k') === '"second"');
    expect(loads).toEqual(['miss', 'refresh']);
  });

  it('is not begun while much of the life is left', async () => {
    agent.ttlMs = 2_000;
    for (let i = 0; i < 3; i++) await client.getOrLoad('ns', 'k', async () => i, options);
    expect(agent.calls('batchGet')).toEqual([]);
  });

  it('that fails is told of, and takes nothing from anybody', async () => {
    await client.getOrLoad('ns', 'k', async () => 'first', options);
    agent.ttlMs = 1;
    const failing = async (): Promise<string> => {
      throw new Error('database down');
    };
    expect(await client.getOrLoad('ns', 'k', failing, options)).toBe('first');
    await until('it is told', () => refreshFailures.length === 1);
    expect(await client.getOrLoad('ns', 'k', failing, options)).toBe('first');
  });

  it('that an invalidation overtakes is refused like any fill', async () => {
    await client.getOrLoad('ns', 'k', async () => 'first', options);
    agent.ttlMs = 1;
    const load = async () => {
      await client.invalidate('ns', { keys: ['k'] });
      return 'old';
    };
    await client.getOrLoad('ns', 'k', load, options);
    await until('it has tried', () => fills().length === 2);
    expect((await client.get('ns', 'k')).status).toBe('miss');
  });
});

describe('lives', () => {
  it('are shortened at random, by no more than the share', async () => {
    const options = { codec, ttlMs: 1_000, ttlJitter: 0.2 };
    random = 0;
    await client.getOrLoad('ns', 'a', async () => 1, options);
    random = 0.999;
    await client.getOrLoad('ns', 'b', async () => 1, options);
    expect(fills().map(({ ttlMs }) => ttlMs)).toEqual([1_000, 801]);
  });

  it('of absences are their own', async () => {
    const load = async () => undefined;
    await client.getOrLoad('ns', 'a', load, { codec, ttlMs: 1_000, absentTtlMs: 50 });
    await client.getOrLoad('ns', 'b', load, { codec, ttlMs: 1_000 });
    // One that shall not be cached still ends the lease that others wait for.
    await client.getOrLoad('ns', 'c', load, { codec, ttlMs: 1_000, absentTtlMs: 0 });
    expect(fills().map(({ ttlMs, absent }) => [ttlMs, absent])).toEqual([
      [50, true],
      [1_000, true],
      [1, true],
    ]);
  });
});

describe('a slow loader', () => {
  const near = { namespaces: { ns: { staleMs: 60_000 } }, renewMs: 5 };

  /** A client that has held a value, which has just ended. */
  async function withEnded(): Promise<EdgeCacheClient> {
    agent.ttlMs = 100;
    agent.leaseMs = 1_000_000;
    const one = connect({ near });
    await one.put('ns', 'k', 'ended', { tags: ['t'] });
    await until('it is held', async () => {
      const found = await one.get('ns', 'k');
      return found.status === 'hit' && found.source === 'near';
    });
    time = 200;
    agent.forget('ns', 'k');
    return one;
  }

  it('gives way to what has ended, and fills when it is done', async () => {
    const one = await withEnded();
    const truth = aPromise<string>();
    const asked = one.getOrLoad('ns', 'k', () => truth.promise, { codec, softDeadlineMs: 20 });
    expect(await asked).toBe('ended');
    expect(stale).toEqual(['slow']);
    truth.resolve('new');
    await until('it is filled', () => agent.stored('ns', 'k') === '"new"');
  });

  it('is waited for where there is nothing else, or it was invalidated', async () => {
    const one = await withEnded();
    agent.tell({
      $case: 'invalidation',
      value: { namespace: 'ns', keys: ['k'], tags: [], version: '99-0', eventId: '' },
    });
    await until('it is dropped', () => (one.nearStats?.invalidated ?? 0) > 0);
    const truth = aPromise<string>();
    const asked = one.getOrLoad('ns', 'k', () => truth.promise, { codec, softDeadlineMs: 20 });
    setTimeout(() => truth.resolve('new'), 60);
    expect(await asked).toBe('new');
    expect(stale).toEqual([]);
  });

  it('that fails, or takes too long for all, gives way as well', async () => {
    const one = await withEnded();
    const failing = async (): Promise<string> => {
      throw new Error('database down');
    };
    expect(await one.getOrLoad('ns', 'k', failing, { codec })).toBe('ended');
    const never = () => new Promise<string>(() => undefined);
    expect(await one.getOrLoad('ns', 'k', never, { codec, hardDeadlineMs: 20, waitMs: 0 })).toBe('ended');
    expect(stale).toEqual(['failed', 'failed']);
  });

  it('fails for all at its hard deadline where there is nothing else', async () => {
    const never = () => new Promise<string>(() => undefined);
    const asked = client.getOrLoad('ns', 'k', never, { codec, hardDeadlineMs: 20 });
    await expect(asked).rejects.toMatchObject({ code: 'EC_CLIENT_LOADER_DEADLINE', retryable: true });
  });
});

describe('who joins a load', () => {
  it('that a change overtook before is given what is true after it', async () => {
    const truth = aPromise<string>();
    const began = aPromise<void>();
    const first = client.getOrLoad(
      'ns',
      'k',
      () => {
        began.resolve();
        return truth.promise;
      },
      { codec },
    );
    await began.promise;
    // Another process changes it; this one has no near cache to hear of it.
    await connect().invalidate('ns', { keys: ['k'] });
    const second = client.getOrLoad('ns', 'k', async () => 'new', { codec });
    truth.resolve('old');
    expect(await first).toBe('old');
    expect(await second).toBe('new');
  });

  it.each([
    ['whose fill was accepted before a change', () => ({ accepted: true, version: '1-0', ttlMs: 1_000 })],
    ['whose fill failed', fails(status.UNAVAILABLE)],
  ])('%s, and answered after it, is given what is true after it', async (_, answer) => {
    const late = aPromise<void>();
    agent.next('fill', async (request) => {
      await late.promise;
      return answer(request);
    });
    const first = client.getOrLoad('ns', 'k', async () => 'old', { codec });
    await until('it fills', () => agent.calls('fill').length === 1);
    await connect().invalidate('ns', { keys: ['k'] });
    const second = client.getOrLoad('ns', 'k', async () => 'new', { codec });
    late.resolve();
    expect(await first).toBe('old');
    expect(await second).toBe('new');
  });

  it('that was not cached is not given what its loader had found before', async () => {
    agent.next('lookup', () => ({ items: [GetResponse.create({ degraded: true })] }));
    agent.next('lookup', () => ({ items: [GetResponse.create({ degraded: true })] }));
    const truth = aPromise<string>();
    const first = client.getOrLoad('ns', 'k', () => truth.promise, { codec });
    await until('it loads', () => loads.length === 1);
    const second = client.getOrLoad('ns', 'k', async () => 'new', { codec });
    truth.resolve('old');
    expect(await first).toBe('old');
    expect(await second).toBe('new');
  });

  it('before it was sent is given the same', async () => {
    await client.put('ns', 'k', 1);
    const values = await Promise.all([1, 2, 3].map(() => client.getOrLoad('ns', 'k', async () => 2)));
    expect(values).toEqual([1, 1, 1]);
    expect(agent.calls('get').length + agent.calls('lookup').length).toBe(1);
  });
});

describe('a lease', () => {
  it.each([
    ['the loader fails', async () => Promise.reject(new Error('the source is away')), codec],
    [
      'what it gives cannot be encoded',
      async () => 1,
      {
        ...codec,
        encode: () => {
          throw new Error('not in this form');
        },
      },
    ],
  ])('is given back where %s, so that the next may try at once', async (_, loader, coded) => {
    await expect(client.getOrLoad('ns', 'k', loader, { codec: coded })).rejects.toThrow();
    await until('it is given back', () => agent.calls('release').length === 1);
    expect(await connect().getOrLoad('ns', 'k', async () => 2, { codec })).toBe(2);
    expect(loads).toEqual(['miss', 'miss']);
  });
});

describe('what the near cache gives', () => {
  it('is one frozen value for all, where that is safe, and else everybody’s own', async () => {
    agent.leaseMs = 1_000_000;
    const one = connect({ near: { namespaces: { ns: {} }, renewMs: 5 } });
    await one.put('ns', 'k', { list: [1] });
    const read = () => one.getOrLoad('ns', 'k', async () => ({ list: [2] }), { codec });
    await until('it is held', async () => {
      await read();
      return (one.nearStats?.hits ?? 0) > 1;
    });
    const [a, b] = [await read(), await read()];
    expect(a).toBe(b);
    expect(() => Object(a).list.push(2)).toThrow(TypeError);
    const date = { encode: () => Buffer.from('0'), decode: () => ({ at: new Date(0) }), freezable: true };
    const [c, d] = [await one.get('ns', 'k', { codec: date }), await one.get('ns', 'k', { codec: date })];
    expect(c.status === 'hit' && d.status === 'hit' && c.value !== d.value).toBe(true);
  });
});
