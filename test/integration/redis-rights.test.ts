import { readFileSync } from 'node:fs';
import { expect, it, onTestFinished } from 'vitest';
import { redisRights } from '../../api/redis-acl.ts';
import { examine } from '../../cli/doctor/examine.ts';
import { until } from '../../hack/local/children.ts';
import { RedisServer } from '../../hack/local/redis-server.ts';
import { standalone, startAgent } from '../support/cache.ts';

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

it('are the same in the documentation, in the example, and in the tests', () => {
  const rights = redisRights();
  const said = read('docs/security.md');
  expect(said).toContain(`ACL SETUSER edgecache on >PASSWORD ${rights.join(' ')}\n`);
  expect(said).toContain(`user edgecache on #SHA256 ${rights.join(' ')}\n`);
  const lines = [...read('examples/compose/setup.sh').matchAll(/^ {2}asks\+?='(.*)'$/gm)];
  expect(lines.map(([, words]) => words?.trim()).join(' ')).toBe(rights.join(' '));
});

it('that are missing are named, with the line that gives them, until they are given', async () => {
  const redis = await RedisServer.start({ rights: 'all' });
  onTestFinished(() => redis.stop());
  const most = redisRights().filter((right) => right !== '+zunionstore' && right !== '+info');
  await redis.admin.call('ACL', 'SETUSER', 'agents', 'on', '>secret', ...most);
  const file = {
    redis: { ...standalone(redis.port), username: 'agents' },
    healthCheckIntervalSeconds: 1,
  };
  const agent = await startAgent({ file, env: { REDIS_PASSWORD: 'secret' } });
  onTestFinished(() => agent.stop());
  const problems = async () => (await agent.client.stats()).redis?.problems ?? [];
  const remedy = 'ACL SETUSER <user> +info +zunionstore';
  await until('the agent says so', async () => (await problems()).join().includes(remedy));
  expect(examine([{ name: 'a', value: await agent.client.stats() }])).toContainEqual(
    expect.objectContaining({
      complaint: 'stale data',
      level: 'error',
      evidence: expect.stringContaining(remedy),
    }),
  );
  expect(await (await agent.http('/metrics')).text()).toContain(
    'edgecache_redis_problems{severity="error"} 1',
  );
  await redis.admin.call('ACL', 'SETUSER', 'agents', '+info', '+zunionstore');
  await until('all is well', async () => (await problems()).length === 0);
});

it('are tried without a trace', async () => {
  const redis = await RedisServer.start();
  onTestFinished(() => redis.stop());
  const agent = await startAgent({ file: { redis: standalone(redis.port), healthCheckIntervalSeconds: 1 } });
  onTestFinished(() => agent.stop());
  await until('Redis was looked at', async () => ((await agent.client.stats()).redis?.memoryUsedMb ?? 0) > 0);
  expect(await redis.admin.keys('ec:*:probe:*')).toEqual([]);
});
