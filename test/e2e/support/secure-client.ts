import { inject } from 'vitest';
import { eventually } from '../../../operator/testing/eventually.ts';
import { apply, list, pods } from './cluster.ts';
import { idleContainer, NodeClient } from './node-client.ts';
import { READY_MS } from './tiers.ts';

const CA_DIR = '/etc/edgecache-ca';
const TOKEN_DIR = '/var/run/secrets/edgecache';
export const CA_FILE = `${CA_DIR}/ca.crt`;
export const TOKEN_FILE = `${TOKEN_DIR}/token`;

export interface SecureClientOptions {
  readonly name: string;
  readonly namespace: string;
  /** ConfigMap in that namespace with what is trusted. */
  readonly trust: string;
  readonly audience: string;
}

/** An application as docs/security.md says: it trusts what the tier tells, and shows its own account's token. */
export async function connectSecureClient(options: SecureClientOptions): Promise<NodeClient> {
  const { name, namespace } = options;
  await apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace } });
  await apply(podOf(options));
  const pod = await eventually(
    `client ${name} runs`,
    async () => (await pods(`app=${name}`, namespace)).find(({ isReady }) => isReady),
    READY_MS,
  );
  const access = { caFile: CA_FILE, tokenFile: TOKEN_FILE };
  return await NodeClient.connect(pod.node, pod.name, { namespace, access });
}

/** Copies a ConfigMap, as someone does who has clients in another namespace. */
export async function copyTrust(name: string, from: string, to: string): Promise<void> {
  const [found] = (await list('configmaps', '-n', from)).filter(({ metadata }) => metadata.name === name);
  await apply({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace: to },
    data: found?.['data'],
  });
}

function podOf({ name, namespace, trust, audience }: SecureClientOptions): object {
  const mounts = [
    { name: 'trust', mountPath: CA_DIR, readOnly: true },
    { name: 'token', mountPath: TOKEN_DIR, readOnly: true },
  ];
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels: { app: name } },
    spec: {
      serviceAccountName: name,
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 1,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: 65532,
        fsGroup: 65532,
        seccompProfile: { type: 'RuntimeDefault' },
      },
      containers: [{ ...idleContainer(inject('cluster').images.agent), volumeMounts: mounts }],
      volumes: [
        { name: 'trust', configMap: { name: trust } },
        {
          name: 'token',
          projected: {
            sources: [{ serviceAccountToken: { path: 'token', audience, expirationSeconds: 600 } }],
          },
        },
      ],
    },
  };
}
