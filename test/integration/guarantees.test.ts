import { describe, expect, it, onTestFinished } from 'vitest';
import { anyJson } from '../../client/codec.ts';
import { EdgeCacheClient } from '../../client/edge-cache-client.ts';
import { freePort, temporaryFolder, until } from '../../hack/local/children.ts';
import { LocalAgent } from '../../hack/local/local-agent.ts';
import { RedisCluster } from '../../hack/local/redis-cluster.ts';
import { RedisServer } from '../../hack/local/redis-server.ts';
import { standalone, startAgent, type TestAgentOptions } from '../support/cache.ts';
import { failureOf, METHODS, RawClient } from '../support/raw-client.ts';

async function redisServer(...args: Parameters<typeof RedisServer.start>) {
  const redis = await RedisServer.start(...args);
  onTestFinished(() => redis.stop());
  return redis;
}

async function agent(options: TestAgentOptions) {
  const one = await startAgent(options);
  onTestFinished(() => one.stop());
  return one;
}

async function localAgent(options: Parameters<typeof LocalAgent.start>[0]) {
  const process = await LocalAgent.start(options);
  onTestFinished(() => process.stop('SIGKILL'));
  const client = new EdgeCacheClient({
    addresses: [process.address],
    deadlineMs: 8_000,
    connectTimeoutMs: 2_000,
  });
  onTestFinished(() => client.close());
  return { process, client };
}

const PUT = {
  key: 'k',
  value: Buffer.from('1'),
  ttlMs: 0,
  tags: [],
  ifVersion: '',
  event: undefined,
  confirm: undefined,
};

describe('a confirmed change', () => {
  it('returns within maxStaleness although an agent is frozen, which is counted as fenced and answers nothing old', async () => {
    const redis = await redisServer();
    const file = { redis: standalone(redis.port), maxStalenessMs: 1_000 };
    const [a, b, c] = await Promise.all(['a', 'b', 'c'].map((nodeId) => localAgent({ nodeId, file })));
    if (a === undefined || b === undefined || c === undefined) throw new Error('three agents');
    await a.client.put('gpu_avail', 'k', 'old', { confirm: true });
    // A log that has just come into being makes the first confirmation wait; this one is of an old log.
    await until('a confirmation is quick', async () => {
      const { confirmation } = await a.client.put('gpu_avail', 'k', 'old', { confirm: true });
      return confirmation !== undefined && confirmation.elapsedMs < 50 && confirmation.agentsLive === 3;
    });
    expect(await c.client.get('gpu_avail', 'k')).toMatchObject({ status: 'hit', value: 'old' });
    c.process.signal('SIGSTOP');
    const { confirmation } = await a.client.put('gpu_avail', 'k', 'new', { confirm: true });
    expect(confirmation).toMatchObject({ agentsLive: 3, agentsApplied: 2, agentsFenced: 1 });
    // The bound is 1,000 ms and a round trip; the rest is for a machine that is busy.
    expect(confirmation?.elapsedMs).toBeLessThanOrEqual(5_000);
    const again = await b.client.put('gpu_avail', 'k', 'newer', { confirm: true });
    expect(again.confirmation).toMatchObject({ agentsFenced: 1 });
    c.process.signal('SIGCONT');
    expect(await c.client.get('gpu_avail', 'k')).toMatchObject({ status: 'hit', value: 'newer' });
  });

  it('that is not confirmed in time stands, and says so', async () => {
    const redis = await redisServer();
    const file = { redis: standalone(redis.port), maxStalenessMs: 5_000 };
    const one = await agent({ file });
    const frozen = await localAgent({ nodeId: 'frozen', file });
    frozen.process.signal('SIGSTOP');
    const raw = new RawClient(one.address);
    onTestFinished(() => raw.close());
    const failure = await failureOf(
      raw.call(METHODS.put, { ...PUT, namespace: 'gpu_avail', confirm: { wait: true, timeoutMs: 50 } }),
    );
    expect(failure).toMatchObject({ code: 4, reason: 'EC_CONFIRM_TIMEOUT' });
    expect(await one.client.get('gpu_avail', 'k')).toMatchObject({ status: 'hit', value: 1 });
  });
});

describe('a token', () => {
  it('shows its change on any agent, at once', async () => {
    const redis = await redisServer();
    const file = { redis: standalone(redis.port) };
    const [a, b] = [await agent({ file }), await agent({ file })];
    for (let i = 0; i < 200; i++) {
      const { token } = await a.client.put('gpu_avail', 'k', i);
      expect(await b.client.get('gpu_avail', 'k', { token })).toMatchObject({ status: 'hit', value: i });
    }
    const { token } = await a.client.invalidate('gpu_avail', {});
    expect((await b.client.get('gpu_avail', 'k', { token })).status).toBe('miss');
  });

  it('of a change that was queued is degraded until Redis has it', async () => {
    const redis = await redisServer();
    const file = { redis: standalone(redis.port) };
    const [a, b] = [await agent({ file }), await agent({ file })];
    await redis.stop();
    await until('Redis is missed', async () => (await a.client.stats()).redis?.connected === false);
    const { state, token } = await a.client.put('market_stats', 'k', 'queued');
    expect(state).toBe('queued');
    expect((await b.client.get('market_stats', 'k', { token })).status).toBe('degraded');
    await redis.start();
    await until('it is there', async () => {
      const found = await b.client.get('market_stats', 'k', { token });
      return found.status === 'hit' && found.value === 'queued';
    });
  });
});

describe('the outbox', () => {
  it('refuses with RESOURCE_EXHAUSTED when it is full, and sends each change once when Redis is back', async () => {
    const redis = await redisServer();
    const one = await agent({ file: { redis: standalone(redis.port), outbox: { maxItems: 5 } } });
    await redis.stop();
    await until('Redis is missed', async () => (await one.client.stats()).redis?.connected === false);
    for (let i = 0; i < 5; i++)
      expect((await one.client.put('market_stats', `k${i}`, i)).state).toBe('queued');
    const raw = new RawClient(one.address);
    onTestFinished(() => raw.close());
    const failure = await failureOf(raw.call(METHODS.put, { ...PUT, namespace: 'market_stats' }));
    expect(failure).toMatchObject({ code: 8, reason: 'EC_OUTBOX_FULL' });
    expect(failure.message).toMatch(/5 of 5 changes/);
    await redis.start();
    await until('all are sent', async () => (await one.client.stats()).events?.outboxSize === 0);
    const logs = await Promise.all((await redis.admin.keys('ec:*:log')).map((key) => redis.admin.xlen(key)));
    expect(logs.reduce((sum, length) => sum + length, 0)).toBe(5);
    for (let i = 0; i < 5; i++)
      expect(await one.client.get('market_stats', `k${i}`)).toMatchObject({ value: i });
  });

  it('outlives a kill of the agent when it has a folder', async () => {
    const redis = await redisServer();
    const dir = temporaryFolder('outbox');
    const options = { nodeId: 'n', file: { redis: standalone(redis.port) }, env: { CACHE_OUTBOX_DIR: dir } };
    const first = await localAgent(options);
    await redis.stop();
    await until('Redis is missed', async () => (await first.client.stats()).redis?.connected === false);
    expect((await first.client.put('market_stats', 'k', 'kept')).state).toBe('queued');
    expect((await first.client.invalidate('market_stats', { tags: ['t'] })).state).toBe('queued');
    await first.process.stop('SIGKILL');
    await redis.start();
    const second = await localAgent(options);
    await until('it was sent', async () => (await second.client.get('market_stats', 'k')).status === 'hit');
    await until('all are sent', async () => (await second.client.stats()).events?.outboxSize === 0);
    const third = await localAgent(options);
    expect((await third.client.stats()).events?.outboxSize).toBe(0);
  });

  it('overwrites nothing that others wrote meanwhile: then it only invalidates', async () => {
    const redis = await redisServer();
    const proxyPort = await freePort();
    const { FaultProxy } = await import('../chaos/proxy.ts');
    const faults = new Map();
    const proxy = await FaultProxy.start(proxyPort, redis.port, faults);
    onTestFinished(() => proxy.close());
    const cutOff = await agent({
      file: { nodeId: 'cut', redis: { nodes: [`127.0.0.1:${proxyPort}`], commandTimeoutMs: 200 } },
    });
    const other = await agent({ file: { nodeId: 'other', redis: standalone(redis.port) } });
    await other.client.put('market_stats', 'k', 'before', { confirm: true });
    for (const kind of ['commands', 'events']) faults.set(`${kind}:cut`, { blackhole: true });
    expect((await cutOff.client.put('market_stats', 'k', 'late')).state).toBe('queued');
    await other.client.put('market_stats', 'k', 'newer');
    faults.clear();
    for (const kind of ['commands', 'events'] as const) proxy.cut(`${kind}:cut`);
    await until('it was sent', async () => (await cutOff.client.stats()).events?.outboxSize === 0);
    const { status } = await other.client.get('market_stats', 'k', { token: '' });
    const found = await other.client.get('market_stats', 'k');
    expect(['miss', 'hit']).toContain(status);
    expect(found.status === 'hit' ? found.value : 'newer').not.toBe('late');
  });
});

describe('fill leases', () => {
  it('let one caller of the whole cluster load', async () => {
    const redis = await redisServer();
    const file = { redis: standalone(redis.port) };
    const agents = await Promise.all([agent({ file }), agent({ file }), agent({ file })]);
    let loads = 0;
    const load = async () => {
      loads += 1;
      return 'loaded';
    };
    const options = { codec: anyJson };
    const values = await Promise.all(
      Array.from({ length: 30 }, (_, i) =>
        agents[i % 3]?.client.getOrLoad('gpu_avail', 'cold', load, options),
      ),
    );
    expect(new Set(values)).toEqual(new Set(['loaded']));
    expect(loads).toBe(1);
  });

  it('end when their holder dies', async () => {
    const redis = await redisServer();
    const one = await agent({ file: { redis: standalone(redis.port), fillLeaseMs: 300 } });
    const raw = new RawClient(one.address);
    onTestFinished(() => raw.close());
    const ask = { namespace: 'gpu_avail', key: 'k', minToken: '', wantLease: true };
    expect((await raw.call(METHODS.get, ask)).leaseToken).not.toBe('');
    const second = await raw.call(METHODS.get, ask);
    expect(second.leaseToken).toBe('');
    expect(second.retryAfterMs).toBeGreaterThan(0);
    await until('the lease is given anew', async () => (await raw.call(METHODS.get, ask)).leaseToken !== '');
  });

  it('are given back by a holder that cannot load, and by nobody else', async () => {
    const redis = await redisServer();
    const file = { redis: standalone(redis.port), fillLeaseMs: 60_000 };
    const [one, other] = [await agent({ file }), await agent({ file })];
    const failing = one.client.getOrLoad('gpu_avail', 'k', async () => {
      throw new Error('the source is away');
    });
    await expect(failing).rejects.toThrow('the source is away');
    // Not after the lease would have ended, and not by going to the source without one.
    await until('the next one is asked to load', async () => {
      const raw = new RawClient(other.address);
      const ask = { namespace: 'gpu_avail', key: 'k', minToken: '', wantLease: true };
      const { leaseToken } = await raw.call(METHODS.get, ask).finally(() => raw.close());
      return leaseToken !== '';
    });
    const raw = new RawClient(one.address);
    onTestFinished(() => raw.close());
    const lease = { namespace: 'gpu_avail', key: 'k', leaseToken: 'of-somebody-else' };
    expect(await raw.call(METHODS.release, lease)).toEqual({ released: false });
    expect(await failureOf(raw.call(METHODS.release, { ...lease, leaseToken: 'no token!' }))).toMatchObject({
      message: expect.stringContaining('lease_token'),
    });
  });

  it('cache what does not exist as well', async () => {
    const redis = await redisServer();
    const one = await agent({ file: { redis: standalone(redis.port) } });
    let loads = 0;
    const load = async () => {
      loads += 1;
      return undefined;
    };
    for (let i = 0; i < 3; i++) {
      expect(await one.client.getOrLoad('gpu_avail', 'none', load, { codec: anyJson })).toBeUndefined();
    }
    expect(loads).toBe(1);
    expect((await one.client.get('gpu_avail', 'none')).status).toBe('absent');
    // Known to be absent is absent enough for "only if absent".
    expect((await one.client.put('gpu_avail', 'none', 1, { ifVersion: '0' })).state).toBe('applied');
  });
});

describe('clocks', () => {
  it('may jump: no lease and no promise rests on the time of day', async () => {
    const redis = await redisServer();
    let jump = 0;
    const options = { file: { redis: standalone(redis.port) }, wallClock: () => Date.now() + jump };
    const [a, b] = [await agent(options), await agent(options)];
    for (const ms of [30_000, -30_000, 3_600_000, -86_400_000]) {
      jump = ms;
      await a.client.put('gpu_avail', 'k', ms, { confirm: true });
      expect(await b.client.get('gpu_avail', 'k')).toMatchObject({ status: 'hit', value: ms });
      await b.client.invalidate('gpu_avail', { keys: ['k'] }, { confirm: true });
      expect((await a.client.get('gpu_avail', 'k')).status).toBe('miss');
    }
  });
});

describe('minReplicas', () => {
  it('queues a change that no replica has, and answers when one has it', async () => {
    const cluster = await RedisCluster.start({ masters: 1, replicasPerMaster: 1 });
    onTestFinished(() => cluster.stop());
    const redis = { mode: 'cluster' as const, nodes: cluster.nodes };
    const one = await agent({ file: { redis, namespaces: [{ name: 'safe', minReplicas: 1 }] } });
    expect((await one.client.put('safe', 'k', 1)).state).toBe('applied');
    const replica = cluster.servers[1];
    await replica?.stop();
    expect((await one.client.put('safe', 'k', 2)).state).toBe('queued');
    await replica?.start();
    await until('a replica has it', async () => (await one.client.stats()).events?.outboxSize === 0);
  });
});
