import { afterAll, beforeAll, expect, test } from 'vitest';
import { OPERATOR_NAMESPACE, RELEASE } from '../../hack/cluster/settings.ts';
import { eventually } from '../../operator/testing/eventually.ts';
import { edgecache, helm, kubectl, NAMESPACE } from './support/cluster.ts';
import { ensureInstalled } from './support/install.ts';
import { connectClients, type NodeClient, SOURCE_L1, serviceOf } from './support/node-client.ts';
import { agentsOf, conditionOf, deleteTiers, makeTier, tierState } from './support/tiers.ts';

/** Stands behind each answer from memory of a critical namespace: see maxStalenessMs. */
const LOOKUP = serviceOf('lookup');

let clients: NodeClient[] = [];
let here: NodeClient;
let there: NodeClient;

beforeAll(async () => {
  await ensureInstalled();
  await makeTier('lookup', {}, 2);
  clients = await connectClients();
  const [first, second] = clients;
  if (first === undefined || second === undefined) throw new Error('the tests need two workers');
  here = first;
  there = second;
});
afterAll(async () => {
  await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
  await deleteTiers();
});

test('a tier has one ready agent on each node that it selects, and says so', async () => {
  const state = await tierState('lookup');
  expect(state.status).toMatchObject({
    desiredAgents: 2,
    readyAgents: 2,
    updatedAgents: 2,
    configuredAgents: 2,
  });
  expect((await agentsOf('lookup')).map((pod) => pod.node)).toEqual(clients.map((client) => client.node));
  await eventually(
    'Redis is seen',
    async () => conditionOf(await tierState('lookup'), 'RedisReachable') === 'True',
    60_000,
  );
});

test('helm test does a real lookup', async () => {
  expect(await helm('test', RELEASE, '--namespace', OPERATOR_NAMESPACE, '--timeout', '2m')).toContain(
    'Succeeded',
  );
});

test('kubectl get shows a tier at a glance', async () => {
  const table = await kubectl('get', 'ect', 'lookup', '-n', NAMESPACE);
  expect(table.split('\n')[0]?.split(/\s{2,}/)).toEqual(
    expect.arrayContaining(['NAME', 'REGION', 'TIER', 'DESIRED', 'READY', 'L1', 'STATUS', 'AGE']),
  );
  expect(table).toMatch(/lookup\s+us-east\s+edge\s+2\s+2\s+500/);
});

test('the command line finds the agents of a tier from outside the cluster', async () => {
  const tier = ['-n', NAMESPACE, '--tier', 'lookup'];
  const nodes = clients.map((client) => client.node);
  const stats = (await edgecache('stats', ...tier, '--json')).trim().split('\n');
  expect(stats.map((line) => Reflect.get(JSON.parse(line), 'nodeId'))).toEqual(nodes);
  await edgecache('put', 'gpu_avail', 'gpu/cli', '{"free":true}', '--confirm', ...tier);
  expect(await edgecache('get', 'gpu_avail', 'gpu/cli', ...tier)).toBe('{"free":true}');
  const traced = await edgecache('doctor', 'gpu_avail', 'gpu/cli', ...tier);
  for (const node of nodes) expect(traced).toContain(node);
  expect(await edgecache('health', ...tier)).toMatch(/healthy/);
  expect(await edgecache('tiers', '-n', NAMESPACE)).toMatch(/lookup\s+us-east\s+edge\s+2\/2.*AgentsReady/);
  await expect(edgecache('stats', '-n', NAMESPACE, '--tier', 'none')).rejects.toThrow(
    'no agent of tier none runs in namespace',
  );
});

test('a pod’s lookup is answered by the agent of its own node', async () => {
  for (const client of clients) {
    const answers = await Promise.all(Array.from({ length: 20 }, () => client.stats(LOOKUP)));
    expect([...new Set(answers.map(({ nodeId }) => nodeId))]).toEqual([client.node]);
  }
});

test('a booking through one node’s agent is gone from the other’s memory when it is confirmed', async () => {
  const entry = { namespace: 'gpu_avail', key: 'gpu/e2e-1' };
  await here.put(LOOKUP, { ...entry, value: 'free', tags: ['gpu:e2e-1'] });
  await inMemory(there, entry);
  await here.ask(LOOKUP, 'publish', {
    event: {
      eventType: 'booking_created',
      resourceId: 'e2e-1',
      affectedNamespaces: ['gpu_avail'],
      tags: ['gpu:e2e-1'],
    },
    confirm: { wait: true, timeoutMs: 0 },
  });
  expect(await there.get(LOOKUP, entry)).toMatchObject({ found: false });
});

test('a change without confirmation reaches the other node', async () => {
  const entry = { namespace: 'gpu_pricing', key: 'price/e2e' };
  await here.put(LOOKUP, { ...entry, value: '1' });
  await inMemory(there, entry);
  await here.put(LOOKUP, { ...entry, value: '2' });
  await eventually('the new value', async () => (await there.get(LOOKUP, entry)).value === '2');
});

test('a token reads one’s own write on any node', async () => {
  const entry = { namespace: 'gpu_avail', key: 'gpu/e2e-2' };
  for (const value of ['a', 'b', 'c', 'd']) {
    const minToken = await here.put(LOOKUP, { ...entry, value });
    expect(await there.get(LOOKUP, { ...entry, minToken })).toMatchObject({ found: true, value });
  }
});

async function inMemory(client: NodeClient, entry: { namespace: string; key: string }): Promise<void> {
  await eventually('it is in memory', async () => (await client.get(LOOKUP, entry)).source === SOURCE_L1);
}
