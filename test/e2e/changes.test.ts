import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DEFAULT_NAMESPACES } from '../../api/namespace.ts';
import { CommandError } from '../../hack/cluster/commands.ts';
import { eventually } from '../../operator/testing/eventually.ts';
import { BAD } from '../support/bad-tiers.ts';
import { apply, kubectl, list, NAMESPACE } from './support/cluster.ts';
import { ensureInstalled } from './support/install.ts';
import { connectClients, type NodeClient, type Stats, serviceOf } from './support/node-client.ts';
import {
  agentsOf,
  aTier,
  awaitSettled,
  childrenOf,
  conditionOf,
  deleteTiers,
  makeTier,
  tierState,
} from './support/tiers.ts';

const TIER = 'changes';

let clients: NodeClient[] = [];

beforeAll(async () => {
  await ensureInstalled();
  await makeTier(TIER, {}, 2);
  clients = await connectClients();
});
afterAll(async () => {
  await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
  await deleteTiers();
});

const statistics = (): Promise<Stats[]> =>
  Promise.all(clients.map((client) => client.stats(serviceOf(TIER))));
const identities = async () => (await agentsOf(TIER)).map(({ uid, restarts }) => ({ uid, restarts }));
const kubectlHere = (...args: readonly string[]) => kubectl('-n', NAMESPACE, ...args);

describe('what is changed without a restart', () => {
  test('a TTL reaches every agent', async () => {
    const before = await identities();
    const namespaces = DEFAULT_NAMESPACES.map((namespace) =>
      namespace.name === 'historical' ? { ...namespace, ttlSeconds: 1_234 } : namespace,
    );
    await apply(aTier(TIER, { namespaces }));
    await eventually('both agents have the TTL', async () =>
      (await statistics()).every((stats) => ttlOf(stats, 'historical') === 1_234_000),
    );
    expect(await identities()).toEqual(before);
    const { status } = await awaitSettled(TIER);
    expect(status.configuredAgents).toBe(2);
    expect((await statistics()).map(({ configHash }) => configHash)).toEqual([
      status.configHash,
      status.configHash,
    ]);
  });

  test('the size of L1 does so too, and stands in the status', async () => {
    const before = await identities();
    await apply(aTier(TIER, { l1: { maxEntries: 777, ttlSeconds: 20 } }));
    await eventually('both agents have the size', async () =>
      (await statistics()).every(({ l1 }) => l1.maxEntries === 777),
    );
    expect(await identities()).toEqual(before);
    expect((await awaitSettled(TIER)).status.l1MaxEntries).toBe(777);
  });
});

test('what needs a restart rolls the pods, and the tier is ready again', async () => {
  const before = await identities();
  await apply(aTier(TIER, { resources: { requests: { cpu: '110m' } } }));
  await eventually(
    'no old pod is left',
    async () => (await identities()).every(({ uid }) => before.every((old) => old.uid !== uid)),
    120_000,
  );
  await awaitSettled(TIER, 2);
});

describe('a bad spec', () => {
  let said = '';
  const nameOf = (index: number) => `bad-${index}`;

  beforeAll(async () => {
    const items = BAD.map(([, spec], index) => ({ ...aTier(nameOf(index)), spec }));
    // At once: the server is asked about each, also after a refusal. kubectl's own validation would stop at the first.
    said = await apply(
      { apiVersion: 'v1', kind: 'List', items },
      '--dry-run=server',
      '--validate=ignore',
    ).catch((error: unknown) => {
      if (error instanceof CommandError) return error.stderr;
      throw error;
    });
  });

  test.each(BAD.map(([what, , message], index) => ({ what, message, index })))(
    'is refused: $what',
    ({ message, index }) => {
      const refusal = said
        .split(/^(?=Error from server|The EdgeCacheTier)/m)
        .find((text) => text.includes(`"${nameOf(index)}"`));
      expect(refusal).toContain(message);
    },
  );

  test('leaves agents and tier as they are', async () => {
    const before = await identities();
    const { generation } = await tierState(TIER);
    await expect(apply(aTier(TIER, { l1: { maxEntries: 0 } }))).rejects.toThrow('greater than or equal to 1');
    await expect(apply(aTier(TIER, { cacheId: 'another' }))).rejects.toThrow('immutable');
    expect((await tierState(TIER)).generation).toBe(generation);
    expect(await identities()).toEqual(before);
  });
});

describe('a child that was changed by hand', () => {
  test.each(['service', 'networkpolicy', 'configmap', 'serviceaccount'])(
    'comes back when it is deleted: %s',
    async (kind) => {
      const [old] = await list(kind, '-l', `edgecache.dev/tier=${TIER}`);
      await kubectlHere('delete', kind, old?.metadata.name ?? '');
      await eventually(`the ${kind} is made anew`, async () =>
        (await list(kind, '-l', `edgecache.dev/tier=${TIER}`)).some(
          ({ metadata }) => metadata.name === old?.metadata.name && metadata.uid !== old.metadata.uid,
        ),
      );
    },
  );

  test('comes back when it is deleted: the DaemonSet', async () => {
    await kubectlHere('delete', 'daemonset', `edgecache-${TIER}`);
    await eventually(
      'it is made anew',
      async () => (await list('daemonset', '-l', `edgecache.dev/tier=${TIER}`)).length === 1,
    );
    await awaitSettled(TIER, 2);
  });

  test('is put right when it is edited', async () => {
    const name = `edgecache-${TIER}`;
    await kubectlHere(
      'patch',
      'service',
      name,
      '--type=merge',
      '-p',
      '{"spec":{"internalTrafficPolicy":"Cluster"}}',
    );
    await kubectlHere('set', 'env', `daemonset/${name}`, 'EDGE_NODE_ID=forged');
    await eventually(
      'the Service is Local',
      async () =>
        (await kubectlHere('get', 'service', name, '-o', 'jsonpath={.spec.internalTrafficPolicy}')) ===
        'Local',
    );
    await eventually(
      'the node’s name is the node’s',
      async () => !(await kubectlHere('get', 'daemonset', name, '-o', 'json')).includes('forged'),
    );
    await awaitSettled(TIER, 2);
  });
});

describe('two tiers', () => {
  test('share a cache on the same nodes, and both say that they share nodes', async () => {
    await makeTier('second', { tier: 'global' }, 2);
    const [here, there] = clients;
    await here?.put(serviceOf(TIER), { namespace: 'market_stats', key: 'e2e', value: 'shared' });
    const got = await eventually('the other tier has it', async () => {
      const answer = await there?.get(serviceOf('second'), { namespace: 'market_stats', key: 'e2e' });
      return answer?.found === true && answer;
    });
    expect(got.value).toBe('shared');
    for (const name of [TIER, 'second'])
      await eventually(
        'the overlap is said',
        async () => conditionOf(await tierState(name), 'NodeOverlap') === 'True',
      );
  });

  test('a deleted one takes all that it had with it, and nothing of the other', async () => {
    const before = await identities();
    await kubectlHere('delete', 'ect', 'second');
    await eventually('nothing of it is left', async () => (await childrenOf('second')) === '', 90_000);
    expect(await identities()).toEqual(before);
    await awaitSettled(TIER, 2);
  });
});

function ttlOf(stats: Stats, namespace: string): number | undefined {
  return stats.namespaces.find(({ name }) => name === namespace)?.ttlMs;
}
