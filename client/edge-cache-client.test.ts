import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ChangeResponse, GetResponse } from '../proto/gen/edgecache/v1/edgecache.ts';
import { anyJson, bytes, json } from './codec.ts';
import { type ClientHooks, EdgeCacheClient, type EdgeCacheClientOptions } from './edge-cache-client.ts';
import {
  AgentUnavailableError,
  EdgeCacheError,
  UnknownNamespaceError,
  VersionConflictError,
} from './errors.ts';
import { FakeAgent, fails } from './testing/fake-agent.ts';

const codec = anyJson;
let agent: FakeAgent;
let client: EdgeCacheClient;
let loads: string[];
let fillFailures: string[];
let answered: string[];
let time: number;
const clients: EdgeCacheClient[] = [];

const on: ClientHooks = {
  load: (why) => loads.push(why),
  fillFailed: (_, reason) => fillFailures.push(reason),
  answered: (method) => answered.push(method),
};

function connect(options: Partial<EdgeCacheClientOptions> = {}): EdgeCacheClient {
  const made = new EdgeCacheClient({
    addresses: [agent.address],
    connectTimeoutMs: 2_000,
    deadlineMs: 2_000,
    on,
    // Retries wait as short as they may.
    random: () => 0,
    now: () => time,
    ...options,
  });
  clients.push(made);
  return made;
}

function aPromise() {
  let settle: () => void = () => undefined;
  const promise = new Promise<void>((resolve) => {
    settle = resolve;
  });
  return { promise, settle };
}

beforeEach(async () => {
  loads = [];
  fillFailures = [];
  answered = [];
  time = 0;
  agent = await FakeAgent.start();
  client = connect();
});

afterEach(() => {
  for (const made of clients.splice(0)) made.close();
  agent.stop();
});

describe('get', () => {
  it('tells a hit, a known absence, a miss and "cannot tell" apart', async () => {
    await client.put('ns', 'k', { a: 1 });
    expect(await client.get('ns', 'k')).toMatchObject({ status: 'hit', value: { a: 1 }, source: 'l1' });
    expect((await client.get('ns', 'none')).status).toBe('miss');
    agent.next('get', () => GetResponse.create({ found: true, absent: true, version: '1-0' }));
    expect(await client.get('ns', 'k')).toMatchObject({ status: 'absent', version: '1-0' });
    agent.next('get', () => GetResponse.create({ degraded: true }));
    expect((await client.get('ns', 'k')).status).toBe('degraded');
  });

  it('passes the token of a change on', async () => {
    const { token } = await client.put('ns', 'k', 1);
    await client.get('ns', 'k', { token });
    expect(agent.calls('get')).toMatchObject([{ minToken: token, wantLease: false }]);
  });

  it('refuses a cached value of another form instead of handing it out', async () => {
    await client.put('ns', 'k', 'text');
    const number = json((value) => {
      if (typeof value !== 'number') throw new TypeError('not a number');
      return value;
    });
    await expect(client.get('ns', 'k', { codec: number })).rejects.toMatchObject({ code: 'EC_CLIENT_VALUE' });
  });
});

describe('getMany', () => {
  it('splits over 1024 keys and answers in the order asked', async () => {
    await client.put('ns', 'k0', 0);
    await client.put('ns', 'k1024', 1024);
    const keys = Array.from({ length: 2_049 }, (_, i) => `k${i}`);
    const found = await client.getMany('ns', keys);
    expect(found.length).toBe(2_049);
    expect(found[0]).toMatchObject({ status: 'hit', value: 0 });
    expect(found[1024]).toMatchObject({ status: 'hit', value: 1024 });
    expect(found.filter(({ status }) => status === 'miss').length).toBe(2_047);
    const sizes = agent.calls('batchGet').map((request) => Reflect.get(Object(request), 'items').length);
    expect(sizes.sort((a, b) => a - b)).toEqual([1, 1_024, 1_024]);
  });

  it('asks nobody where nothing is asked', async () => {
    expect(await client.getMany('ns', [])).toEqual([]);
    expect(agent.received).toEqual([]);
  });
});

describe('getOrLoad', () => {
  it('loads once, fills under the lease and answers from the cache afterwards', async () => {
    const load = () => Promise.resolve({ price: 2 });
    const options = { codec, tags: (value: unknown) => [`t:${Object(value).price}`], ttlMs: 700 };
    expect(await client.getOrLoad('ns', 'k', load, options)).toEqual({ price: 2 });
    expect(await client.getOrLoad('ns', 'k', load, options)).toEqual({ price: 2 });
    expect(loads).toEqual(['miss']);
    expect(agent.calls('fill')).toMatchObject([{ tags: ['t:2'], ttlMs: 700, absent: false }]);
  });

  it.each([[[]], [0], [false], [''], [null], [{}]])('takes %j for a value, not for a miss', async (value) => {
    const load = () => Promise.resolve(value as unknown);
    expect(await client.getOrLoad('ns', 'k', load, { codec })).toEqual(value);
    expect(await client.getOrLoad('ns', 'k', load, { codec })).toEqual(value);
    expect(loads).toEqual(['miss']);
  });

  it('remembers that the source has no such thing', async () => {
    const load = () => Promise.resolve(undefined);
    expect(await client.getOrLoad('ns', 'k', load, { codec })).toBeUndefined();
    expect(await client.getOrLoad('ns', 'k', load, { codec })).toBeUndefined();
    expect(loads).toEqual(['miss']);
    expect(agent.calls('fill')).toMatchObject([{ absent: true }]);
  });

  it('loads once for all callers of the process, and gives each its own copy', async () => {
    let runs = 0;
    const load = async () => {
      runs += 1;
      return { list: [1] };
    };
    const all = await Promise.all(
      Array.from({ length: 50 }, () => client.getOrLoad('ns', 'k', load, { codec })),
    );
    expect(runs).toBe(1);
    expect(new Set(all).size).toBe(50);
    Object.assign(Object(all[0]), { list: [] });
    expect(all[1]).toEqual({ list: [1] });
    expect(agent.calls('get').length).toBe(1);
  });

  it('waits while another process loads, and takes its value', async () => {
    const other = connect();
    const started = aPromise();
    const finish = aPromise();
    const first = other.getOrLoad(
      'ns',
      'k',
      async () => {
        started.settle();
        await finish.promise;
        return 'theirs';
      },
      { codec },
    );
    await started.promise;
    agent.next('get', () => {
      finish.settle();
      return GetResponse.create({ retryAfterMs: 5 });
    });
    expect(await client.getOrLoad('ns', 'k', () => Promise.resolve('mine'), { codec })).toBe('theirs');
    expect(await first).toBe('theirs');
    expect(loads).toEqual(['miss']);
  });

  it('loads as well, without filling, when it has waited long enough', async () => {
    agent.next('get', () => {
      time = 501;
      return GetResponse.create({ retryAfterMs: 5 });
    });
    const value = await client.getOrLoad('ns', 'k', () => Promise.resolve(1), { codec, waitMs: 500 });
    expect(value).toBe(1);
    expect(loads).toEqual(['waited']);
    expect(agent.calls('fill')).toEqual([]);
  });

  it('asks the loader and caches nothing when the answer is degraded', async () => {
    agent.next('get', () => GetResponse.create({ degraded: true }));
    expect(await client.getOrLoad('ns', 'k', () => Promise.resolve(1), { codec })).toBe(1);
    expect(loads).toEqual(['degraded']);
    expect(agent.calls('fill')).toEqual([]);
  });

  it('asks the loader, and says so, when no agent can be reached', async () => {
    const lonely = connect({ addresses: ['127.0.0.1:1'], connectTimeoutMs: 20 });
    expect(await lonely.getOrLoad('ns', 'k', () => Promise.resolve(1), { codec })).toBe(1);
    expect(loads).toEqual(['unavailable']);
  });

  it('asks the loader when the deadline passes', async () => {
    const never = aPromise();
    agent.next('get', () => never.promise);
    const load = () => Promise.resolve(1);
    expect(await client.getOrLoad('ns', 'k', load, { codec, deadlineMs: 20 })).toBe(1);
    expect(loads).toEqual(['unavailable']);
  });

  it('gives the loaded value though an invalidation revoked the lease, and counts it', async () => {
    const load = async () => {
      await client.invalidate('ns', { keys: ['k'] });
      return 'old';
    };
    expect(await client.getOrLoad('ns', 'k', load, { codec })).toBe('old');
    expect(fillFailures).toEqual(['revoked']);
    expect((await client.get('ns', 'k')).status).toBe('miss');
  });

  it('gives the loaded value though the fill cannot be sent, and counts it', async () => {
    agent.next('fill', fails(status.RESOURCE_EXHAUSTED));
    expect(await client.getOrLoad('ns', 'k', () => Promise.resolve(1), { codec })).toBe(1);
    expect(fillFailures).toEqual(['error']);
  });

  it('throws what the loader throws, to every caller', async () => {
    const load = () => Promise.reject(new Error('database down'));
    const both = [1, 2].map(() => client.getOrLoad('ns', 'k', load, { codec }));
    await expect(both[0]).rejects.toThrow('database down');
    await expect(both[1]).rejects.toThrow('database down');
  });

  it('throws for a request that no agent would answer, and does not hide it behind the loader', async () => {
    agent.next('get', fails(status.NOT_FOUND, "namespace 'nn' is not one of this tier’s: ns"));
    const asked = client.getOrLoad('nn', 'k', () => Promise.resolve(1), { codec });
    await expect(asked).rejects.toThrow(UnknownNamespaceError);
    expect(loads).toEqual([]);
  });

  it('hands out bytes as a copy', async () => {
    const load = () => Promise.resolve(Buffer.from([0, 255, 1]));
    const value = await client.getOrLoad('ns', 'k', load, { codec: bytes });
    expect(value).toEqual(Buffer.from([0, 255, 1]));
    value?.fill(7);
    expect(await client.getOrLoad('ns', 'k', load, { codec: bytes })).toEqual(Buffer.from([0, 255, 1]));
  });
});

describe('changes', () => {
  it('are tried again with the same event id, and count once', async () => {
    agent.next('put', fails(status.UNAVAILABLE), fails(status.UNAVAILABLE));
    // The clock moves on by itself: an agent that failed is passed over for a while.
    const patient = connect({ now: () => (time += 1_000) });
    const { state } = await patient.put('ns', 'k', 1);
    expect(state).toBe('applied');
    const ids = agent.calls('put').map((request) => Reflect.get(Object(request), 'event').eventId);
    expect(ids.length).toBe(3);
    expect(new Set(ids).size).toBe(1);
    expect(ids[0]).toMatch(/^[\da-f]{8}-[\da-f]{4}-7/);
  });

  it('report a duplicate and a queued change as what they are', async () => {
    const eventId = 'change-1';
    await client.invalidate('ns', { tags: ['t'] }, { eventId });
    expect(await client.invalidate('ns', { tags: ['t'] }, { eventId })).toMatchObject({
      state: 'duplicate',
      eventId,
    });
    agent.next('invalidate', () => ChangeResponse.create({ state: 3 }));
    expect((await client.invalidate('ns', {})).state).toBe('queued');
  });

  it('fail with a version conflict that is not tried again', async () => {
    await client.put('ns', 'k', 1);
    const put = client.put('ns', 'k', 2, { ifVersion: '0' });
    await expect(put).rejects.toThrow(VersionConflictError);
    expect(agent.calls('put').length).toBe(2);
  });

  it('carry confirm with its timeout, and none by default', async () => {
    await client.publish({ type: 'x', namespaces: ['ns'] });
    await client.publish({ type: 'x', namespaces: ['ns'] }, { confirm: true });
    await client.publish({ type: 'x', namespaces: ['ns'] }, { confirm: 70 });
    expect(agent.calls('publish')).toMatchObject([
      { confirm: undefined },
      { confirm: { wait: true, timeoutMs: 5_000 } },
      { confirm: { wait: true, timeoutMs: 70 } },
    ]);
  });

  it.each([
    [status.RESOURCE_EXHAUSTED, 'EC_CLIENT_OVERLOADED', true],
    [status.INVALID_ARGUMENT, 'EC_CLIENT_INVALID_REQUEST', false],
    [status.NOT_FOUND, 'EC_CLIENT_UNKNOWN_NAMESPACE', false],
    [status.DEADLINE_EXCEEDED, 'EC_CLIENT_DEADLINE', true],
    [status.FAILED_PRECONDITION, 'EC_CLIENT_REFUSED', false],
  ])('answer gRPC status %i as %s', async (grpc, code, retryable) => {
    agent.next('put', fails(grpc, 'why it was'));
    const failed = client.put('ns', 'k', 1);
    await expect(failed).rejects.toBeInstanceOf(EdgeCacheError);
    await expect(failed).rejects.toMatchObject({ code, retryable, message: 'why it was' });
    expect(agent.calls('put').length).toBe(1);
  });
});

describe('several agents', () => {
  it('are asked in order: the next one answers when the first is away', async () => {
    const second = await FakeAgent.start();
    try {
      const both = connect({ addresses: ['127.0.0.1:1', second.address], connectTimeoutMs: 30 });
      await both.put('ns', 'k', 1);
      expect(await both.get('ns', 'k')).toMatchObject({ status: 'hit', value: 1 });
      expect(second.received.length).toBe(2);
    } finally {
      second.stop();
    }
  });

  it('that failed are passed over for a while and then asked again', async () => {
    const second = await FakeAgent.start();
    try {
      const both = connect({ addresses: [agent.address, second.address] });
      agent.next('get', fails(status.UNAVAILABLE));
      for (let i = 0; i < 3; i++) await both.get('ns', 'k');
      expect([agent.received.length, second.received.length]).toEqual([1, 3]);
      time = 10_000;
      await both.get('ns', 'k');
      expect([agent.received.length, second.received.length]).toEqual([2, 3]);
    } finally {
      second.stop();
    }
  });

  it('must be named: none at all is a mistake of the caller', () => {
    expect(() => new EdgeCacheClient({ addresses: [] })).toThrow('addresses must name at least one agent');
  });
});

describe('a client', () => {
  it('measures each call that an agent answered', async () => {
    await client.get('ns', 'k');
    await client.getMany('ns', ['k']);
    await client.stats();
    expect(answered).toEqual(['Get', 'BatchGet', 'Stats']);
  });

  it('that is closed refuses', async () => {
    client.close();
    await expect(client.get('ns', 'k')).rejects.toMatchObject({ code: 'EC_CLIENT_CLOSED', retryable: false });
  });

  it('names every agent that did not answer', async () => {
    const lonely = connect({ addresses: ['127.0.0.1:1', '127.0.0.1:2'], connectTimeoutMs: 20 });
    const asked = lonely.get('ns', 'k');
    await expect(asked).rejects.toThrow(AgentUnavailableError);
    await expect(asked).rejects.toThrow('127.0.0.1:1, 127.0.0.1:2');
  });
});
