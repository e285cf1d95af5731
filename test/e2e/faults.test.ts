import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EXAMPLE_NAMESPACE, OPERATOR_NAMESPACE } from '../../hack/cluster/settings.ts';
import { eventually } from '../../operator/testing/eventually.ts';
import { apply, kubectl, list, NAMESPACE, type Pod, pods } from './support/cluster.ts';
import { ensureInstalled } from './support/install.ts';
import { connectClients, type NodeClient, serviceOf } from './support/node-client.ts';
import { crash, killPod, leader, leadership, operators } from './support/operators.ts';
import {
  agentsOf,
  aTier,
  awaitSettled,
  conditionOf,
  deleteTiers,
  makeTier,
  READY_MS,
  tierState,
} from './support/tiers.ts';
import { watchFor } from './support/watch-for.ts';

const TIER = 'faults';
const SERVICE = serviceOf(TIER);
/** A leader that dies is replaced after its lease and a look at it: 15 to 17 s. */
const HAND_OVER_MS = 60_000;
const NO_CRASH = 'the nodes are not containers of the Docker here: no process of theirs can be killed';
/** As many as reach every master with near certainty. */
const KEYS = Array.from({ length: 32 }, (_, index) => `gpu/${index}`);

let clients: NodeClient[] = [];
let here: NodeClient;
let there: NodeClient;

beforeAll(async () => {
  await ensureInstalled();
  await makeTier(TIER, {}, 2);
  clients = await connectClients();
  const [first, second] = clients;
  if (first === undefined || second === undefined) throw new Error('the tests need two workers');
  here = first;
  there = second;
});
afterAll(async () => {
  await kubectl('uncordon', '-l', '!node-role.kubernetes.io/control-plane');
  await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
  await deleteTiers();
});

describe('an agent that is killed', () => {
  test('is replaced, and its node is served again', async () => {
    const victim = await agentOn(here.node);
    await killPod(victim.name, NAMESPACE);
    await eventually(
      'a new agent answers on the node',
      async () =>
        (await agentOn(here.node)).uid !== victim.uid && (await here.stats(SERVICE)).nodeId === here.node,
      READY_MS,
    );
    // The other node never noticed.
    expect((await there.stats(SERVICE)).nodeId).toBe(there.node);
    await awaitSettled(TIER, 2);
  });

  test('without warning is started again, and keeps nothing that was changed meanwhile', async ({ skip }) => {
    const entry = { namespace: 'gpu_avail', key: 'gpu/crash' };
    await here.put(SERVICE, { ...entry, value: 'old' });
    const victim = await agentOn(here.node);
    skip(!(await crash(victim)), NO_CRASH);
    await there.put(SERVICE, { ...entry, value: 'new' });
    await eventually(
      'it answers again',
      async () => (await here.get(SERVICE, entry)).value === 'new',
      READY_MS,
    );
    expect(await agentOn(here.node)).toMatchObject({ uid: victim.uid, restarts: victim.restarts + 1 });
    await awaitSettled(TIER, 2);
  });
});

describe('the operator', () => {
  test('that is stopped hands over its leadership', async () => {
    const old = await currentLeader();
    await kubectl('delete', 'pod', old.name, '-n', OPERATOR_NAMESPACE, '--wait=false');
    await awaitNewLeader(old);
  });

  test('that is killed amid its work leaves it to the next, who finishes it without a double', async ({
    skip,
  }) => {
    const names = ['mid-1', 'mid-2', 'mid-3', 'mid-4', 'mid-5', 'mid-6'];
    // On no node: the objects are what matters.
    const items = names.map((name) => aTier(name, { nodeSelector: { nowhere: 'yes' } }));
    const old = await currentLeader();
    const applying = apply({ apiVersion: 'v1', kind: 'List', items });
    await eventually(
      'the first child is there',
      async () => (await list('daemonsets', '-l', 'edgecache.dev/tier in (mid-1,mid-2)')).length > 0,
    );
    skip(!(await crash(old)), NO_CRASH);
    await applying;
    await eventually(
      'every tier has all its children',
      async () => {
        for (const name of names) if ((await childKinds(name)).join() !== ALL_KINDS) return false;
        return true;
      },
      2 * HAND_OVER_MS,
    );
    await kubectl('delete', 'ect', ...names, '-n', NAMESPACE);
  });

  test('that dies with its pod is replaced', async ({ skip }) => {
    const old = await currentLeader();
    skip(!(await crash(old)), NO_CRASH);
    await killPod(old.name, OPERATOR_NAMESPACE);
    await awaitNewLeader(old);
    await apply(aTier(TIER, { l1: { maxEntries: 600 } }));
    await eventually(
      'the new leader works',
      async () => (await tierState(TIER)).status.l1MaxEntries === 600,
      HAND_OVER_MS,
    );
  });

  const ALL_KINDS = 'ConfigMap,DaemonSet,NetworkPolicy,Service,Service,ServiceAccount';

  async function childKinds(tier: string): Promise<string[]> {
    const kinds = 'serviceaccounts,configmaps,networkpolicies,services,daemonsets';
    return (await list(kinds, '-l', `edgecache.dev/tier=${tier}`)).map(({ kind }) => kind).sort();
  }

  async function currentLeader(): Promise<Pod> {
    await eventually(
      'both operators are ready',
      async () => {
        const found = await operators();
        return found.length === 2 && found.every((pod) => pod.isReady);
      },
      READY_MS,
    );
    return await eventually('somebody leads', leader, HAND_OVER_MS);
  }

  async function awaitNewLeader(old: Pod): Promise<void> {
    await eventually(
      'another leads',
      async () => {
        const now = await leader();
        return now !== undefined && now.uid !== old.uid;
      },
      HAND_OVER_MS,
    );
    expect((await leadership()).holder).not.toContain(old.name);
  }
});

describe('a node', () => {
  test('that gets the label gets an agent, and loses it with the label', async () => {
    const label = 'edgecache.dev/e2e';
    const [first, second] = [here.node, there.node];
    await kubectl('label', 'node', first, `${label}=yes`);
    try {
      await makeTier('labelled', { nodeSelector: { [label]: 'yes' } }, 1);
      await kubectl('label', 'node', second, `${label}=yes`);
      await awaitSettled('labelled', 2);
      expect((await there.stats(serviceOf('labelled'))).nodeId).toBe(second);
      await kubectl('label', 'node', second, `${label}-`);
      await awaitSettled('labelled', 1);
      await eventually(
        'its agent is gone',
        async () => (await agentsOf('labelled')).map(({ node }) => node).join() === first,
      );
    } finally {
      await kubectl('label', 'nodes', first, second, `${label}-`);
      await kubectl('delete', 'ect', 'labelled', '-n', NAMESPACE, '--ignore-not-found');
    }
  });

  test('that is drained is served to the end, and all is well when it is back', async () => {
    const entry = { namespace: 'historical', key: 'drain' };
    await here.put(SERVICE, { ...entry, value: 'kept' });
    await there.get(SERVICE, entry);
    const missed = watchFor(async () => {
      const { found, value } = await there.get(SERVICE, entry);
      if (!found || value !== 'kept') throw new Error(`found: ${found}, '${value}'`);
    });
    await kubectl(
      'drain',
      there.node,
      '--ignore-daemonsets',
      '--delete-emptydir-data',
      '--force',
      '--timeout=180s',
    );
    await kubectl('uncordon', there.node);
    await awaitRedis();
    expect(await missed.end()).toEqual([]);
    await awaitSettled(TIER, 2);
  });
});

describe('a Redis master that is killed', () => {
  test('is replaced by its replica, and every key can be changed and read again', async () => {
    await awaitRedis();
    for (const key of KEYS) await here.put(SERVICE, { namespace: 'gpu_avail', key, value: 'before' });
    const [master] = await redisMasters();
    await killPod(master ?? '', EXAMPLE_NAMESPACE);
    await eventually(
      'every key can be changed through one node and read through the other',
      async () => {
        for (const key of KEYS) {
          const minToken = await here.put(SERVICE, { namespace: 'gpu_avail', key, value: 'after' });
          const got = await there.get(SERVICE, { namespace: 'gpu_avail', key, minToken });
          if (got.value !== 'after') return false;
        }
        return true;
      },
      60_000,
    );
    await awaitRedis();
    await eventually(
      'Redis is seen',
      async () => conditionOf(await tierState(TIER), 'RedisReachable') === 'True',
      60_000,
    );
  });

  async function redisMasters(): Promise<string[]> {
    const nodes = await kubectl('exec', 'redis-cluster-0', '--', 'redis-cli', 'cluster', 'nodes');
    const addresses = nodes
      .split('\n')
      .filter((line) => / (myself,)?master /.test(line))
      .map((line) => line.split(' ')[1]?.split(':')[0]);
    const found = await redisPods();
    // Not the pod that was asked: the next question goes to it.
    return found
      .filter(({ ip, name }) => addresses.includes(ip) && name !== 'redis-cluster-0')
      .map(({ name }) => name);
  }
});

const redisPods = (): Promise<Pod[]> => pods('app.kubernetes.io/name=redis-cluster', EXAMPLE_NAMESPACE);

/** Until every pod is a master with slots or a replica that is up to date; if that does not come, says what each sees. */
async function awaitRedis(): Promise<void> {
  const isWhole = async () => {
    const found = await redisPods();
    return found.length === 6 && found.every((pod) => pod.isReady);
  };
  try {
    await eventually('Redis is whole', isWhole, READY_MS);
  } catch (error) {
    const views = (await redisPods()).map(async ({ name, ip, isReady }) => {
      const nodes = await kubectl('exec', name, '--', 'redis-cli', 'cluster', 'nodes').catch(String);
      return `${name} ${ip}, ${isReady ? 'ready' : 'not ready'}, sees\n${nodes}`;
    });
    const keeper = await kubectl('logs', 'deployment/redis-cluster-keeper', '--tail=20').catch(String);
    throw new Error([String(error), ...(await Promise.all(views)), 'keeper:', keeper].join('\n'));
  }
}

async function agentOn(node: string): Promise<Pod> {
  const found = (await agentsOf(TIER)).find((pod) => pod.node === node);
  if (found === undefined) throw new Error(`no agent on ${node}`);
  return found;
}
