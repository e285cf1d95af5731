import { spawnSync } from 'node:child_process';
import { createServer } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { freePort, startChild, until } from '../../hack/local/children.ts';
import { RedisServer } from '../../hack/local/redis-server.ts';
import { standalone, startAgent, type TestAgentOptions } from '../support/cache.ts';

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

describe('Redis', () => {
  it('absent at the start: the agent starts, says that it is not ready, and recovers', async () => {
    const port = await freePort();
    const one = await agent({ file: { redis: standalone(port) }, waitReady: false });
    expect((await one.http('/healthz')).status).toBe(200);
    expect((await one.http('/readyz')).status).toBe(503);
    expect((await one.client.get('gpu_avail', 'k')).status).toBe('degraded');
    await redisServer({ port });
    await until('the agent is ready', async () => (await one.http('/readyz')).ok);
    await one.client.put('gpu_avail', 'k', 1, { confirm: true });
    expect(await one.client.get('gpu_avail', 'k')).toMatchObject({ status: 'hit', value: 1 });
  });

  it('restarted empty: every agent notices by itself and drops what it held', async () => {
    const redis = await redisServer();
    const file = { redis: standalone(redis.port) };
    const agents = [await agent({ file }), await agent({ file })];
    for (let i = 0; i < 50; i++) await agents[0]?.client.put('gpu_avail', `k${i}`, i, { confirm: true });
    const keys = Array.from({ length: 50 }, (_, i) => `k${i}`);
    for (const { client } of agents) await client.getMany('gpu_avail', keys);
    await redis.restartEmpty();
    for (const { client } of agents) {
      await until('nothing of before is answered', async () => {
        const found = await client.getMany('gpu_avail', keys);
        return found.every(({ status }) => status === 'miss');
      });
      // A lookup may ask L2 before the agent has looked at the log.
      await until(
        'the agent has noticed',
        async () => ((await client.stats()).events?.partitionResets ?? 0) > 0,
      );
    }
    await agents[0]?.client.put('gpu_avail', 'k0', 'again', { confirm: true });
    expect(await agents[1]?.client.get('gpu_avail', 'k0')).toMatchObject({ status: 'hit', value: 'again' });
  });

  it('with another password than the agent’s: not ready, and the reason is said', async () => {
    const redis = await redisServer({ password: 'right' });
    const one = await agent({
      file: { redis: standalone(redis.port) },
      env: { REDIS_PASSWORD: 'wrong' },
      waitReady: false,
    });
    await until('the reason is told', async () =>
      (await (await one.http('/readyz')).text()).includes('WRONGPASS'),
    );
    const good = await agent({ file: { redis: standalone(redis.port) }, env: { REDIS_PASSWORD: 'right' } });
    await good.client.put('gpu_avail', 'k', 1);
    expect(await good.client.get('gpu_avail', 'k')).toMatchObject({ status: 'hit' });
  });

  it('that does not offer TLS when it was asked for: not ready, and nothing is sent in the clear', async () => {
    const redis = await redisServer();
    const one = await agent({
      file: { redis: standalone(redis.port) },
      env: { REDIS_SSL: 'true' },
      waitReady: false,
    });
    await until('the reason is told', async () =>
      /no connection to Redis \(.+\)/.test(await (await one.http('/readyz')).text()),
    );
    expect((await one.client.get('gpu_avail', 'k')).status).toBe('degraded');
  });

  it('gone in the middle: critical lookups are degraded, others may be served stale and say so', async () => {
    const redis = await redisServer();
    const one = await agent({ file: { redis: standalone(redis.port), maxStalenessMs: 300 } });
    await one.client.put('gpu_avail', 'k', 1, { confirm: true });
    await one.client.put('market_stats', 'k', 2, { confirm: true });
    await redis.stop();
    await until(
      'the lease has ended',
      async () => (await one.client.get('gpu_avail', 'k')).status === 'degraded',
    );
    expect(await one.client.get('market_stats', 'k')).toMatchObject({ status: 'hit', value: 2, stale: true });
    // What was invalidated is never served stale, even though nobody else could be told yet.
    expect((await one.client.invalidate('market_stats', { keys: ['k'] })).state).toBe('queued');
    expect((await one.client.get('market_stats', 'k')).status).toBe('degraded');
    await redis.start();
    await until('the queue is empty', async () => (await one.client.stats()).events?.outboxSize === 0);
  });

  it('away and back as it was: no agent answers what a queued change had replaced', async () => {
    const redis = await redisServer();
    const file = { redis: standalone(redis.port), maxStalenessMs: 300 };
    const [a, b] = await Promise.all([agent({ file }), agent({ file })]);
    await a.client.put('gpu_avail', 'k', 'old');
    const seen = { a: new Set<unknown>(), b: new Set<unknown>() };
    const looking = new AbortController();
    const look = async (client: typeof a.client, answers: Set<unknown>) => {
      while (!looking.signal.aborted) {
        const answer = await client.get('gpu_avail', 'k');
        answers.add(answer.status === 'hit' ? answer.value : answer.status);
      }
    };
    const looks: Promise<void>[] = [];
    onTestFinished(() => looking.abort());
    await redis.restart(async () => {
      await until('b has no lease', async () => (await b.client.get('gpu_avail', 'k')).status === 'degraded');
      await until('a queues', async () => (await a.client.put('gpu_avail', 'k', 'new')).state === 'queued');
      looks.push(look(a.client, seen.a), look(b.client, seen.b));
      // What was replaced within the bound may still be answered: only a longer outage shows a fault.
      const endsAt = performance.now() + file.maxStalenessMs;
      await until('the bound has passed', () => performance.now() >= endsAt);
    });
    await until('the queue is empty', async () => (await a.client.stats()).events?.outboxSize === 0);
    await until('both are asked again', async () => {
      const answers = await Promise.all([a, b].map(({ client }) => client.get('gpu_avail', 'k')));
      return answers.every((answer) => answer.status === 'hit' && answer.value === 'new');
    });
    looking.abort();
    await Promise.all(looks);
    expect([...seen.a]).not.toContain('old');
    expect([...seen.b]).not.toContain('old');
  });

  it('with a cache of another number of partitions: the agent refuses to start and says why', async () => {
    const redis = await redisServer();
    await agent({ file: { redis: standalone(redis.port), partitions: 16 } });
    const run = await runMain({ REDIS_PORT: String(redis.port) }, { partitions: 8 });
    expect(run.code).toBe(2);
    expect(run.output).toMatch(/cache 'default' has 16 partitions.*configured for 8; set partitions to 16/);
  });
});

describe('the agent’s command', () => {
  it('refuses a port that is taken and says which setting names it', async () => {
    const taken = createServer();
    const port = await new Promise<number>((resolve) => {
      taken.listen(0, '127.0.0.1', () => {
        const address = taken.address();
        resolve(address !== null && typeof address === 'object' ? address.port : 0);
      });
    });
    onTestFinished(() => void taken.close());
    const run = await runMain({ CACHE_GRPC_ADDRESS: `127.0.0.1:${port}` });
    expect(run.code).toBe(1);
    expect(run.output).toMatch(/cannot listen on 127\.0\.0\.1:\d+ \(CACHE_GRPC_ADDRESS\)/);
  });

  const refused: [string, Record<string, string>, Record<string, unknown>, RegExp][] = [
    ['an unknown field', {}, { redsi: {} }, /redsi: got an unknown field; remove it or correct its name/],
    [
      'a TTL of zero',
      {},
      { namespaces: [{ name: 'a', ttlSeconds: 0 }] },
      /namespaces\[0\]\.ttlSeconds: got 0; must be a whole number of seconds from 1/,
    ],
    [
      'an L1 TTL over the L2 TTL',
      {},
      { namespaces: [{ name: 'a', ttlSeconds: 5, l1TtlSeconds: 6 }] },
      /l1TtlSeconds: got 6; must be at most ttlSeconds, which is 5/,
    ],
    ['a namespace listed twice', {}, { namespaces: [{ name: 'a' }, { name: 'a' }] }, /namespaces\[1\]\.name/],
    [
      'a bad port in the environment',
      { REDIS_PORT: '70000' },
      {},
      /REDIS_PORT: got "70000"; must be a port from 1 to 65535/,
    ],
    [
      'a switch that is neither on nor off',
      { REDIS_SSL: 'maybe' },
      {},
      /REDIS_SSL: got "maybe"; must be true or false/,
    ],
    [
      'a tier that does not exist',
      { EDGE_NODE_CACHE_TIER: 'planet' },
      {},
      /tier: got "planet"; must be edge, regional or global/,
    ],
    ['a variable with a slip of the pen', { CACHE_L1_SIZ: '5' }, {}, /CACHE_L1_SIZ: got an unknown variable/],
    [
      'authentication by which nobody could get in',
      { CACHE_REQUIRE_AUTH: 'true' },
      {},
      /security\.auth\.required: got true; needs tokens \(CACHE_AUTH_TOKEN/,
    ],
  ];

  it.each(refused)('refuses %s with field, value and remedy', async (_name, env, file, message) => {
    const run = await runMain(env, file);
    expect(run.code).toBe(2);
    expect(run.output).toMatch(message);
  });

  it('prints its help', () => {
    const main = new URL('../../agent/main.ts', import.meta.url).pathname;
    const run = spawnSync(process.execPath, [main, '--help'], { encoding: 'utf8' });
    expect(run.status).toBe(0);
    expect(run.stdout).toContain('--config FILE');
    expect(run.stdout).toContain('REDIS_NODES');
  });
});

/** Runs the real command until it ends. */
async function runMain(env: Record<string, string>, file: Record<string, unknown> = {}) {
  const main = new URL('../../agent/main.ts', import.meta.url).pathname;
  const { writeFileSync } = await import('node:fs');
  const { temporaryFolder } = await import('../../hack/local/children.ts');
  const config = `${temporaryFolder('config')}/agent.json`;
  writeFileSync(config, JSON.stringify({ grpcAddress: '127.0.0.1:0', httpAddress: '127.0.0.1:0', ...file }));
  const child = startChild(process.execPath, [main, '--config', config], { env: { ...process.env, ...env } });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (data: Buffer) => (output += data.toString()));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, output };
}
