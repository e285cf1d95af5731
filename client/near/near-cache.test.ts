import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { until } from '../../hack/local/children.ts';
import { GetResponse } from '../../proto/gen/edgecache/v1/edgecache.ts';
import { EdgeCacheClient, type EdgeCacheClientOptions } from '../edge-cache-client.ts';
import { FakeAgent, failure } from '../testing/fake-agent.ts';

let agent: FakeAgent;
const clients: EdgeCacheClient[] = [];

async function connect(options: Partial<EdgeCacheClientOptions> = {}): Promise<EdgeCacheClient> {
  const made = new EdgeCacheClient({
    addresses: [agent.address],
    connectTimeoutMs: 2_000,
    deadlineMs: 2_000,
    near: { namespaces: { ns: {} }, renewMs: 5 },
    ...options,
  });
  clients.push(made);
  await made.put('ns', 'k', 'value', { tags: ['t'] });
  await until('it has a lease', () => (made.nearStats?.leaseMs ?? 0) > 0);
  return made;
}

/** Whether lookups of the key end up being answered from the process. */
async function isHeld(client: EdgeCacheClient, key = 'k'): Promise<boolean> {
  await client.get('ns', key);
  const found = await client.get('ns', key);
  return found.status === 'hit' && found.source === 'near';
}

beforeEach(async () => {
  agent = await FakeAgent.start({ streams: true });
  agent.leaseMs = 1_000_000;
});

afterEach(() => {
  for (const made of clients.splice(0)) made.close();
  agent.stop();
});

describe('what an agent answers', () => {
  it('is held with its tags, and goes with them', async () => {
    const client = await connect();
    expect(await isHeld(client)).toBe(true);
    agent.tell({
      $case: 'invalidation',
      value: { namespace: 'ns', keys: [], tags: ['t'], version: '99-0', eventId: '' },
    });
    await until('it is dropped', () => client.nearStats?.entries === 0);
  });

  it('in a call that does not tell the tags is not held', async () => {
    const client = await connect();
    const broken = () => {
      agent.lookups.at(-1)?.emit('error', failure(status.INTERNAL, 'broken'));
      return undefined;
    };
    agent.next('lookup', broken);
    expect(await client.get('ns', 'k')).toMatchObject({ status: 'hit', value: 'value' });
    expect(agent.calls('get').length).toBe(1);
    expect(client.nearStats?.entries).toBe(0);
  });

  it('is held without the stream too', async () => {
    const client = await connect({ lookups: { stream: false } });
    expect(await isHeld(client)).toBe(true);
    expect(agent.calls('batchGet').length).toBe(1);
  });

  it('is not held where it is another process than the one that is followed', async () => {
    const client = await connect();
    expect(await isHeld(client)).toBe(true);
    await client.put('ns', 'k', 'newer');
    // The same address, another process behind it: it may lag behind the one whose invalidations are heard.
    agent.identity = 'process-2';
    agent.lookups.at(-1)?.end();
    await until('a new stream is used', async () => {
      await client.get('ns', 'k');
      return agent.lookups.length > 1;
    });
    expect(await isHeld(client)).toBe(false);
  });

  it.each([
    ['stale', { stale: true }],
    ['degraded', { degraded: true, found: false }],
    ['about to end', { ttlMs: 0 }],
  ])('is not held where it is %s', async (_, more) => {
    const client = await connect();
    const found = { found: true, value: Buffer.from('1'), version: '1-0', ttlMs: 10_000 };
    const answer = () => ({ items: [GetResponse.create({ ...found, ...more })] });
    agent.next('lookup', answer, answer);
    expect(await isHeld(client)).toBe(false);
  });
});

it('answers nothing without a lease', async () => {
  agent.leaseMs = 50;
  const client = await connect({ now: () => performance.now() });
  agent.leaseMs = 0;
  await until('the lease is over', () => client.nearStats?.leaseMs === 0);
  expect(await isHeld(client)).toBe(false);
});

it('says why it holds nothing', async () => {
  const client = await connect();
  agent.follows
    .at(-1)
    ?.emit('error', failure(status.NOT_FOUND, "namespace 'ns' is not one of this tier’s: other"));
  await until('it says so', () => client.nearStats?.lastReset.includes('not one of this tier'));
});

it('is passed over where its caller says so, or has a token', async () => {
  const client = await connect();
  expect(await isHeld(client)).toBe(true);
  expect(await client.get('ns', 'k', { near: false })).toMatchObject({ source: 'l1' });
  const { token } = await client.put('ns', 'other', 1);
  expect(await client.get('ns', 'k', { token })).toMatchObject({ source: 'l1' });
});
