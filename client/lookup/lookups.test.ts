import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { until } from '../../hack/local/children.ts';
import type { BatchGetRequest } from '../../proto/gen/edgecache/v1/edgecache.ts';
import { EdgeCacheClient, type EdgeCacheClientOptions } from '../edge-cache-client.ts';
import { UnknownNamespaceError } from '../errors.ts';
import { FakeAgent, failure } from '../testing/fake-agent.ts';

let agent: FakeAgent;
let client: EdgeCacheClient;
const clients: EdgeCacheClient[] = [];

function connect(options: Partial<EdgeCacheClientOptions> = {}): EdgeCacheClient {
  const made = new EdgeCacheClient({
    addresses: [agent.address],
    connectTimeoutMs: 2_000,
    deadlineMs: 2_000,
    random: () => 0,
    ...options,
  });
  clients.push(made);
  return made;
}

beforeEach(async () => {
  agent = await FakeAgent.start({ streams: true });
  client = connect();
  // Its connection stands: lookups go by stream from now on.
  await client.put('ns', 'k', 1);
});

afterEach(() => {
  for (const made of clients.splice(0)) made.close();
  agent.stop();
});

function batches(): BatchGetRequest[] {
  return agent.calls('lookup').map((request) => request as BatchGetRequest);
}

describe('lookups of one turn', () => {
  it('share a batch, and those of one key share one lookup', async () => {
    const found = await Promise.all(['k', 'a', 'k', 'k'].map((key) => client.get('ns', key)));
    expect(found.map(({ status }) => status)).toEqual(['hit', 'miss', 'hit', 'hit']);
    expect(batches().map(({ items }) => items.map(({ key }) => key))).toEqual([['k', 'a']]);
    expect(found[0]).toMatchObject({ node: 'fake' });
  });

  it('are answered apart where the agent splits them', async () => {
    agent.next('lookup', () => ({
      items: [{ found: true, value: Buffer.from('2'), version: '1-0' }],
      places: [1],
    }));
    const slow = client.get('ns', 'slow', { deadlineMs: 300 });
    expect(await client.get('ns', 'fast')).toMatchObject({ value: 2 });
    await expect(slow).rejects.toMatchObject({ code: 'EC_CLIENT_DEADLINE' });
  });

  it('fail apart where one of them is refused', async () => {
    const refusal = { status: status.NOT_FOUND, code: 'EC_UNKNOWN_NAMESPACE', message: 'no such' };
    agent.next('lookup', () => ({
      items: [{ refusal }, { found: true, value: Buffer.from('2'), version: '1-0' }],
    }));
    const wrong = client.get('unheard_of', 'k');
    const right = client.get('ns', 'k');
    await expect(wrong).rejects.toThrow(UnknownNamespaceError);
    expect(await right).toMatchObject({ value: 2 });
  });
});

describe('under load', () => {
  it('lookups that find the stream busy go together', async () => {
    const go: (() => void)[] = [];
    const wait = () => new Promise<undefined>((resolve) => go.push(() => resolve(undefined)));
    agent.next('lookup', wait, wait, wait, wait);
    const first: Promise<unknown>[] = [];
    for (let i = 0; i < 4; i++) {
      first.push(client.get('ns', `busy${i}`, { deadlineMs: 200 }).catch(() => undefined));
      await until('it is sent', () => batches().length === i + 1);
    }
    const rest = Array.from({ length: 100 }, (_, i) => client.get('ns', `k${i}`));
    await Promise.all(rest);
    expect(batches().length).toBeLessThanOrEqual(7);
    for (const each of go) each();
    await Promise.all(first);
  });

  it('no batch is larger than allowed', async () => {
    const small = connect({ lookups: { maxBatch: 10 } });
    await small.stats();
    await Promise.all(Array.from({ length: 95 }, (_, i) => small.get('ns', `k${i}`)));
    expect(Math.max(...batches().map(({ items }) => items.length))).toBe(10);
  });

  it('more lookups than may wait are refused', async () => {
    const small = connect({ lookups: { maxWaiting: 5 } });
    await small.stats();
    const all = await Promise.allSettled(Array.from({ length: 8 }, (_, i) => small.get('ns', `k${i}`)));
    const refused = all.filter((one) => one.status === 'rejected');
    expect(refused.length).toBe(3);
    expect(refused[0]).toMatchObject({ reason: { code: 'EC_CLIENT_OVERLOADED', retryable: true } });
  });
});

describe('a stream that breaks', () => {
  it('loses no lookup: each is asked again in a call of its own', async () => {
    agent.next('lookup', () => {
      agent.lookups[0]?.emit('error', failure(status.UNAVAILABLE, 'gone'));
      return undefined;
    });
    const patient = connect({ now: () => 0 });
    await patient.stats();
    // The agent is passed over after that; with no other, the lookup fails as retryable and loaders answer.
    await expect(patient.get('ns', 'k')).rejects.toMatchObject({ retryable: true });
    const second = await FakeAgent.start({ streams: true });
    const both = connect({ addresses: [agent.address, second.address] });
    await both.stats();
    agent.next('lookup', () => {
      agent.lookups.at(-1)?.emit('error', failure(status.UNAVAILABLE, 'gone'));
      return undefined;
    });
    expect((await both.get('ns', 'k')).status).toBe('miss');
    expect(second.calls('get').length).toBe(1);
    second.stop();
  });

  it('in order, as of an agent that drains, is opened anew', async () => {
    agent.next('lookup', () => {
      agent.lookups[0]?.end();
      return undefined;
    });
    expect(await client.get('ns', 'k')).toMatchObject({ status: 'hit' });
    expect(agent.calls('get').length).toBe(1);
    expect(await client.get('ns', 'k')).toMatchObject({ status: 'hit' });
    expect(agent.lookups.length).toBe(2);
  });

  it('is not asked for again of an agent that has none', async () => {
    const old = await FakeAgent.start();
    const one = connect({ addresses: [old.address] });
    await one.stats();
    for (let i = 0; i < 3; i++) expect((await one.get('ns', 'k')).status).toBe('miss');
    expect(old.calls('get').length).toBe(3);
    old.stop();
  });
});

it('refuses what waits when it is closed', async () => {
  const asked = client.get('ns', 'k');
  client.close();
  await expect(asked).rejects.toMatchObject({ code: 'EC_CLIENT_CLOSED' });
});

it('costs a node whose agent is gone one short wait, and nothing after', async () => {
  // A port that answers nothing: its packets are dropped.
  const lonely = connect({ addresses: ['10.255.255.1:9'], connectTimeoutMs: 80 });
  const times: number[] = [];
  for (let i = 0; i < 20; i++) {
    const beganAt = performance.now();
    expect(await lonely.getOrLoad('ns', `k${i}`, async () => i)).toBe(i);
    times.push(performance.now() - beganAt);
    await new Promise((resolve) => setTimeout(resolve, 15));
  }
  const [first = 0, ...others] = times;
  expect(first).toBeLessThan(150);
  // Far below the connect timeout, however busy the machine is.
  expect(others.sort((a, b) => a - b)[Math.floor(others.length / 2)]).toBeLessThan(40);
});
