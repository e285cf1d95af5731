import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { runCli } from '../../cli/testing/run-cli.ts';
import { endChild, startChild, until } from '../../hack/local/children.ts';
import { RedisServer } from '../../hack/local/redis-server.ts';
import { standalone, startAgent, type TestAgent } from '../support/cache.ts';

let redis: RedisServer;
let agents: TestAgent[];

beforeAll(async () => {
  redis = await RedisServer.start();
  const file = { redis: standalone(redis.port), namespaces: [{ name: 'a', critical: true }] };
  agents = await Promise.all(['one', 'two'].map((nodeId) => startAgent({ file: { ...file, nodeId } })));
});
afterAll(async () => {
  await Promise.all(agents.map((agent) => agent.stop()));
  await redis.stop();
});

const addresses = () => agents.map(({ address }) => address).join(',');
const ownKeys = () => redis.admin.keys('ec:*:e:a:edgecache-bench/*');

it('a load on real agents finds what it has written, leaves nothing of it, and touches nothing else', async () => {
  const [first] = agents;
  const { version } = (await first?.client.put('a', 'mine', 1)) ?? {};
  const load = ['--duration', '1s', '--warm-up', '200ms', '--changes', '2', '--keys', '200', '--json'];
  const { code, out } = await runCli(['bench', 'a', '--address', addresses(), ...load]);
  expect(code).toBe(0);
  const said = JSON.parse(out);
  expect(said).toMatchObject({ agents: 2, errors: {}, hitRatio: 1 });
  expect(said.found.l1).toBeGreaterThan(0);
  expect(said.found.l2).toBeGreaterThan(0);
  expect(said.changes.count).toBeGreaterThan(0);
  expect(await ownKeys()).toEqual([]);
  expect(await first?.client.get('a', 'mine')).toMatchObject({ status: 'hit', version });
});

it('a load that is interrupted says what it has measured, and leaves nothing either', async () => {
  const hits = () => Promise.all(agents.map(async ({ client }) => (await client.stats()).l1?.hits ?? 0));
  const before = await hits();
  const main = new URL('../../cli/main.ts', import.meta.url).pathname;
  const child = startChild(process.execPath, [main, 'bench', 'a', '-a', addresses(), '--duration', '1h'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => endChild(child, 'SIGKILL'));
  let out = '';
  child.stdout?.on('data', (chunk) => {
    out += String(chunk);
  });
  await until('it asks for its keys', async () =>
    (await hits()).every((count, i) => count > (before[i] ?? 0) + 1_000),
  );
  // Everything that it wrote has been read by then.
  const ended = new Promise((resolve) => child.once('close', resolve));
  child.kill('SIGINT');
  expect(await ended).toBe(130);
  expect(out).toMatch(/2 agents, 64 in flight, 1000 keys of 512 bytes/);
  expect(await ownKeys()).toEqual([]);
});
