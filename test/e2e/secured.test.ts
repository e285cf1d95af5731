import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../../operator/testing/eventually.ts';
import { apply, kubectl, NAMESPACE } from './support/cluster.ts';
import { ensureInstalled } from './support/install.ts';
import { type NodeClient, serviceOf } from './support/node-client.ts';
import { CA_FILE, connectSecureClient, copyTrust } from './support/secure-client.ts';
import { agentsOf, conditionOf, deleteTiers, makeTier, tierState } from './support/tiers.ts';
import { watchFor } from './support/watch-for.ts';

const TIER = 'secured';
const SERVICE = serviceOf(TIER);
const TRUST = `edgecache-${TIER}-ca`;
const NAME = 'e2e-secure';
const AUDIENCE = 'edgecache';
const OTHER_NAMESPACE = 'edgecache-e2e-others';
const ENTRY = { namespace: 'historical', key: 'secured' };
/** The kubelet brings a changed Secret within a minute or so, and has other things to do. */
const KUBELET_MS = 240_000;

let client: NodeClient;

beforeAll(async () => {
  await ensureInstalled();
  const ours = `serviceaccount:${NAMESPACE}/${NAME}`;
  const security = {
    tls: { enabled: true },
    auth: { required: true, serviceAccounts: true, audience: AUDIENCE },
    accessRules: [{ identities: [ours], namespaces: ['historical'], allow: ['read', 'write'] }],
  };
  await makeTier(TIER, { security, networkPolicy: { clientNamespaces: [OTHER_NAMESPACE] } }, 2);
  client = await connectSecureClient({ name: NAME, namespace: NAMESPACE, trust: TRUST, audience: AUDIENCE });
});
afterAll(async () => {
  await client?.[Symbol.asyncDispose]();
  await kubectl('delete', 'pod,serviceaccount', NAME, '-n', NAMESPACE, '--ignore-not-found', '--wait=false');
  await kubectl('delete', 'namespace', OTHER_NAMESPACE, '--ignore-not-found', '--wait=false');
  await deleteTiers();
});

test('a pod that trusts what the tier tells asks over TLS', async () => {
  await client.put(SERVICE, { ...ENTRY, value: 'over TLS' });
  expect(await client.get(SERVICE, ENTRY)).toMatchObject({ found: true, value: 'over TLS' });
});

test('one that does not speak TLS is not heard', async () => {
  await expect(client.ask(SERVICE, 'get', ENTRY, true, {})).rejects.toThrow(/: (14|4) /);
});

test('one that shows no token, or one for another audience, is refused', async () => {
  await expect(client.ask(SERVICE, 'get', ENTRY, true, { caFile: CA_FILE })).rejects.toThrow(/: 16 /);
  const name = 'e2e-misled';
  const misled = await connectSecureClient({ name, namespace: NAMESPACE, trust: TRUST, audience: 'others' });
  await using _ended = misled;
  await expect(misled.get(SERVICE, ENTRY)).rejects.toThrow(/: 16 /);
  await kubectl('delete', 'pod,serviceaccount', name, '-n', NAMESPACE, '--wait=false');
});

test('what no rule allows is denied, to a known account too', async () => {
  await expect(client.put(SERVICE, { ...ENTRY, namespace: 'gpu_avail', value: 'no' })).rejects.toThrow(
    /: 7 /,
  );
  await expect(client.stats(SERVICE)).rejects.toThrow(/: 7 /);
});

test('the account of the same name in another namespace is denied, until a rule names it', async () => {
  const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' };
  await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: OTHER_NAMESPACE, labels } });
  await copyTrust(TRUST, NAMESPACE, OTHER_NAMESPACE);
  const where = { name: NAME, namespace: OTHER_NAMESPACE, trust: TRUST, audience: AUDIENCE };
  await using other = await connectSecureClient(where);
  await expect(other.get(SERVICE, ENTRY)).rejects.toThrow(/: 7 /);
  const restarts = (await agentsOf(TIER)).map(({ uid }) => uid);
  const accessRules = [
    { identities: [`serviceaccount:*`], namespaces: ['historical'], allow: ['read'] },
    { identities: [`serviceaccount:${NAMESPACE}/${NAME}`], namespaces: ['historical'], allow: ['write'] },
  ];
  await kubectl(
    ...['patch', 'ect', TIER, '-n', NAMESPACE, '--type=merge', '-p'],
    JSON.stringify({ spec: { security: { accessRules } } }),
  );
  await eventually('the rule holds', () => other.get(SERVICE, ENTRY), 60_000);
  await expect(other.put(SERVICE, { ...ENTRY, value: 'no' })).rejects.toThrow(/: 7 /);
  expect((await agentsOf(TIER)).map(({ uid }) => uid)).toEqual(restarts);
});

test('the tier says until when its certificate is valid, as its agents show it', async () => {
  await eventually(
    'CertificateValid',
    async () => conditionOf(await tierState(TIER), 'CertificateValid') === 'True',
    60_000,
  );
});

test('agents take a new certificate while they are asked: no lookup fails, and no pod is replaced', async () => {
  const before = await client.serial(SERVICE);
  const pods = (await agentsOf(TIER)).map(({ uid, restarts }) => ({ uid, restarts }));
  const watches = [
    watchFor(() => expectFound(false)),
    // By a new connection each time, so a handshake with whatever is shown at the moment.
    watchFor(() => expectFound(true)),
  ];
  try {
    const annotation = `edgecache.dev/renew-certificate=${Date.now()}`;
    await kubectl('annotate', '--overwrite', 'ect', TIER, '-n', NAMESPACE, annotation);
    await eventually(
      'another certificate',
      async () => (await client.serial(SERVICE)) !== before,
      KUBELET_MS,
    );
  } finally {
    expect(await Promise.all(watches.map((watch) => watch.end()))).toEqual(watches.map(() => []));
  }
  expect((await agentsOf(TIER)).map(({ uid, restarts }) => ({ uid, restarts }))).toEqual(pods);
}, 300_000);

async function expectFound(isFresh: boolean): Promise<void> {
  const answer = await client.ask(SERVICE, 'get', ENTRY, isFresh);
  expect(answer).toMatchObject({ found: true });
}
