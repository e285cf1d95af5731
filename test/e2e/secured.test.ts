import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../../operator/testing/eventually.ts';
import { kubectl, NAMESPACE } from './support/cluster.ts';
import { ensureInstalled } from './support/install.ts';
import { type NodeClient, serviceOf } from './support/node-client.ts';
import { connectSecureClient } from './support/secure-client.ts';
import { agentsOf, conditionOf, deleteTiers, makeTier, tierState } from './support/tiers.ts';
import { watchFor } from './support/watch-for.ts';

const TIER = 'secured';
const SERVICE = serviceOf(TIER);
const TRUST = `edgecache-${TIER}-ca`;
const ENTRY = { namespace: 'historical', key: 'secured' };
/** The kubelet brings a changed Secret within a minute or so, and has other things to do. */
const KUBELET_MS = 240_000;

let client: NodeClient;

beforeAll(async () => {
  await ensureInstalled();
  await makeTier(TIER, { security: { tls: { enabled: true } } }, 2);
  client = await connectSecureClient({
    name: 'e2e-secure',
    namespace: NAMESPACE,
    trust: TRUST,
    audience: 'edgecache',
  });
});
afterAll(async () => {
  await client?.[Symbol.asyncDispose]();
  await kubectl(
    'delete',
    'pod,serviceaccount',
    'e2e-secure',
    '-n',
    NAMESPACE,
    '--ignore-not-found',
    '--wait=false',
  );
  await deleteTiers();
});

test('a pod that trusts what the tier tells asks over TLS', async () => {
  await client.put(SERVICE, { ...ENTRY, value: 'over TLS' });
  expect(await client.get(SERVICE, ENTRY)).toMatchObject({ found: true, value: 'over TLS' });
});

test('one that does not speak TLS is not heard', async () => {
  await expect(client.ask(SERVICE, 'get', ENTRY, true, {})).rejects.toThrow(/: (14|4) /);
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
