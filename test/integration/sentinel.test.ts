import { readFileSync } from 'node:fs';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { CommandConnections } from '../../agent/redis/connections.ts';
import { resolveAgentConfig } from '../../api/agent-config.ts';
import { until } from '../../hack/local/children.ts';
import { RedisSentinel } from '../../hack/local/redis-sentinel.ts';
import { startAgent } from '../support/cache.ts';

const SENTINEL_RIGHTS =
  '-@all +sentinel|get-master-addr-by-name +sentinel|sentinels +subscribe &+switch-master +client';

async function watchedRedis() {
  const redis = await RedisSentinel.start();
  onTestFinished(() => redis.stop());
  return redis;
}

function configFor(redis: RedisSentinel) {
  return { mode: 'sentinel' as const, nodes: redis.nodes, sentinelMaster: redis.name };
}

async function agent(redis: RedisSentinel) {
  const one = await startAgent({ file: { redis: configFor(redis) } });
  onTestFinished(() => one.stop());
  return one;
}

describe('Sentinel', () => {
  it.each([
    ['is killed', 'SIGKILL'],
    ['hangs', 'SIGSTOP'],
  ] as const)('is followed to the new master where the old one %s', async (_, signal) => {
    const redis = await watchedRedis();
    const [a, b] = [await agent(redis), await agent(redis)];
    await a.client.put('gpu_avail', 'k', 'before', { confirm: true });
    expect(await b.client.get('gpu_avail', 'k')).toMatchObject({ value: 'before' });
    (await redis.master()).signal(signal);
    await until(
      'changes are applied again',
      async () => (await a.client.put('gpu_avail', 'k', 'after')).state === 'applied',
      { timeoutMs: 40_000 },
    );
    await until('both hear events again', () => a.agent.ready && b.agent.ready, { timeoutMs: 20_000 });
    await a.client.put('gpu_avail', 'k', 'last', { confirm: true });
    // For two seconds after an outage agents doubt what Redis has.
    await until('the other agent answers', async () => {
      const answer = await b.client.get('gpu_avail', 'k');
      return answer.status === 'hit' && answer.value === 'last';
    });
  });

  it('is reached although the sentinel that is asked first hangs', async () => {
    const redis = await watchedRedis();
    redis.freezeSentinel(0);
    const { client } = await agent(redis);
    expect(await client.put('gpu_avail', 'k', 'v', { confirm: true })).toMatchObject({ state: 'applied' });
  });

  it('is asked nothing by agents but what docs/security.md names', async () => {
    const redis = await watchedRedis();
    const rights = SENTINEL_RIGHTS.split(' ');
    for (const admin of redis.sentinelAdmins)
      await admin.call('ACL', 'SETUSER', 'watcher', 'on', '>secret', ...rights);
    const env = { REDIS_SENTINEL_USERNAME: 'watcher', REDIS_SENTINEL_PASSWORD: 'secret' };
    const one = await startAgent({ file: { redis: configFor(redis) }, env });
    onTestFinished(() => one.stop());
    await redis.failover();
    await until('changes are applied again', async () => {
      return (await one.client.put('gpu_avail', 'k', 'after')).state === 'applied';
    });
    const documented = readFileSync(new URL('../../docs/security.md', import.meta.url), 'utf8');
    expect(documented).toContain(`\`${SENTINEL_RIGHTS}\``);
    for (const admin of redis.sentinelAdmins) expect(await admin.call('ACL', 'LOG')).toEqual([]);
  });

  it('does not leave an agent without connections that the library has given up', async () => {
    const redis = await watchedRedis();
    const file = { nodeId: 'n', redis: { ...configFor(redis), maxConnections: 3 } };
    const connections = new CommandConnections(resolveAgentConfig(file, {}), pino({ level: 'silent' }));
    onTestFinished(() => connections.close());
    const both = async () => {
      const ready = new Set<ReturnType<CommandConnections['next']>>();
      await until('both connections stand', () => {
        const client = connections.next();
        if (client.status === 'ready') ready.add(client);
        return ready.size === 2;
      });
      return [...ready];
    };
    // What the library does when it hears of a failover while it connects: over, and no retry.
    const given = await both();
    const over = given.map((client) => new Promise<void>((resolve) => client.once('end', () => resolve())));
    for (const client of given) client.disconnect();
    await Promise.all(over);
    for (const client of await both()) expect(await client.call('PING')).toBe('PONG');
  });
});
