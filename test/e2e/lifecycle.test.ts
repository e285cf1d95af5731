import { afterAll, beforeAll, expect, test } from 'vitest';
import { OPERATOR_NAMESPACE, RELEASE } from '../../hack/cluster/settings.ts';
import { eventually } from '../../operator/testing/eventually.ts';
import { helm, kubectl, NAMESPACE } from './support/cluster.ts';
import { ensureInstalled, installOlderChart, OLDER_WORDS } from './support/install.ts';
import { connectClients, type NodeClient, serviceOf } from './support/node-client.ts';
import { operators } from './support/operators.ts';
import { agentsOf, awaitSettled, childrenOf, deleteTiers, makeTier, READY_MS } from './support/tiers.ts';
import { watchFor } from './support/watch-for.ts';

const TIER = 'lifecycle';
const SERVICE = serviceOf(TIER);
const ENTRY = { namespace: 'historical', key: 'lifecycle' };

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

const identities = async () => (await agentsOf(TIER)).map(({ uid, restarts }) => ({ uid, restarts }));

/** Lookups on every node, for as long as something is done: none may fail, and no agent be replaced. */
async function whileServing(action: () => Promise<unknown>): Promise<void> {
  const before = await identities();
  for (const client of clients) await client.put(SERVICE, { ...ENTRY, value: 'kept' });
  const watches = clients.map((client) =>
    watchFor(async () => {
      const { found, value } = await client.get(SERVICE, ENTRY);
      if (!found || value !== 'kept') throw new Error(`on ${client.node}: found ${found}, '${value}'`);
    }),
  );
  try {
    await action();
  } finally {
    expect(await Promise.all(watches.map((watch) => watch.end()))).toEqual(watches.map(() => []));
  }
  expect(await identities()).toEqual(before);
}

test('helm upgrade from an older chart replaces operator and CRD while tiers stay and agents serve', async () => {
  const crd = () => kubectl('get', 'crd', 'edgecachetiers.edgecache.dev', '-o', 'yaml');
  await installOlderChart();
  expect(await crd()).toContain(OLDER_WORDS);
  const old = (await operators()).map(({ uid }) => uid);
  await whileServing(() => ensureInstalled());
  expect(await crd()).not.toContain(OLDER_WORDS);
  expect((await operators()).filter(({ uid }) => old.includes(uid))).toEqual([]);
  await awaitSettled(TIER, 2);
});

test('helm uninstall leaves nothing but the CRD, and what people made goes on serving', async () => {
  await whileServing(async () => {
    await helm('uninstall', RELEASE, '--namespace', OPERATOR_NAMESPACE, '--wait', '--timeout', '2m');
    await eventually('nothing of the release is left', async () => (await releaseObjects()) === '', READY_MS);
  });
  expect(await kubectl('get', 'crd', 'edgecachetiers.edgecache.dev', '-o', 'name')).toContain(
    'edgecachetiers',
  );
});

test('without the operator a tier can be deleted, and takes all that it had with it', async () => {
  await kubectl('delete', 'ect', TIER, '-n', NAMESPACE, '--timeout=60s');
  await eventually('nothing of it is left', async () => (await childrenOf(TIER)) === '', READY_MS);
});

/** Names of what carries the release's label, of any kind that it may have made. */
async function releaseObjects(): Promise<string> {
  const namespaced =
    'deployments,replicasets,pods,services,endpointslices,secrets,leases,configmaps,serviceaccounts,roles,rolebindings,poddisruptionbudgets,networkpolicies';
  const wide =
    'clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings';
  const all = await Promise.all([
    kubectl(
      'get',
      namespaced,
      '-n',
      OPERATOR_NAMESPACE,
      '-l',
      `app.kubernetes.io/instance=${RELEASE}`,
      '-o',
      'name',
    ),
    kubectl('get', wide, '-l', `app.kubernetes.io/instance=${RELEASE}`, '-o', 'name'),
    // Helm's own memory of it.
    kubectl('get', 'secrets', '-n', OPERATOR_NAMESPACE, '-l', 'owner=helm', '-o', 'name'),
  ]);
  return all.join('').trim();
}
