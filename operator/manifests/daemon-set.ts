import { GRPC_PORT, HTTP_PORT } from '../../api/well-known.ts';
import type { KubeObject } from '../kube/object.ts';
import type { BuildContext } from './context.ts';
import { encryptionVolume } from './encryption.ts';
import {
  COLD_HASH_ANNOTATION,
  CONFIG_DIR,
  CONFIG_FILE,
  childLabels,
  childName,
  OUTBOX_DIR,
  selectorLabels,
} from './names.ts';
import { redisEnvironment, redisVolume } from './redis-secrets.ts';
import { tokensVolume } from './security-file.ts';
import { tlsVolume } from './tls-mount.ts';

/** Time for an agent to send what is queued and to hand its callers over. */
const TERMINATION_SECONDS = 30;

/** The agents: one pod on each node that the tier selects. */
export function buildDaemonSet(context: BuildContext): KubeObject {
  const { name } = context.object.metadata;
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name: childName(name), labels: childLabels(name) },
    spec: {
      selector: { matchLabels: selectorLabels(name) },
      minReadySeconds: context.tier.spec.rollout.minReadySeconds,
      revisionHistoryLimit: 5,
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: rollingUpdate(context) },
      template: {
        metadata: {
          labels: childLabels(name),
          annotations: {
            // A change of what needs a restart changes the template, and so rolls the pods.
            [COLD_HASH_ANNOTATION]: context.file.coldHash,
            'kubectl.kubernetes.io/default-container': 'agent',
          },
        },
        spec: podSpec(context),
      },
    },
  };
}

function rollingUpdate({ tier }: BuildContext): object {
  const { maxUnavailable, maxSurge } = tier.spec.rollout;
  if (maxSurge !== undefined) return { maxSurge, maxUnavailable: 0 };
  return { maxSurge: 0, maxUnavailable: maxUnavailable ?? '10%' };
}

/** Labels of the nodes that run an agent. */
export function nodeSelectorOf(spec: {
  readonly region: string;
  readonly nodeSelector?: Readonly<Record<string, string>> | undefined;
}): Record<string, string> {
  return { ...(spec.nodeSelector ?? { 'topology.kubernetes.io/region': spec.region }) };
}

function podSpec(context: BuildContext): object {
  const { object, tier } = context;
  const { priorityClassName, tolerations, imagePullSecrets } = tier.spec;
  return {
    serviceAccountName: childName(object.metadata.name),
    // Their own token, good for nothing but to have callers' tokens looked at.
    automountServiceAccountToken: tier.spec.security.auth.serviceAccounts,
    // Otherwise a Service named cache-… would add variables CACHE_…, which an agent refuses as misspelt.
    enableServiceLinks: false,
    terminationGracePeriodSeconds: TERMINATION_SECONDS,
    nodeSelector: nodeSelectorOf(tier.spec),
    ...(tolerations.length > 0 ? { tolerations } : {}),
    ...(priorityClassName === undefined ? {} : { priorityClassName }),
    ...(imagePullSecrets.length > 0 ? { imagePullSecrets } : {}),
    securityContext: {
      runAsNonRoot: true,
      runAsUser: 65532,
      runAsGroup: 65532,
      fsGroup: 65532,
      seccompProfile: { type: 'RuntimeDefault' },
    },
    containers: [agentContainer(context)],
    volumes: [
      { name: 'config', configMap: { name: childName(object.metadata.name) } },
      { name: 'outbox', emptyDir: { sizeLimit: '256Mi' } },
      { name: 'tmp', emptyDir: { sizeLimit: '64Mi' } },
      ...tlsVolume(tier).volumes,
      ...tokensVolume(tier).volumes,
      ...encryptionVolume(tier).volumes,
      ...redisVolume(tier).volumes,
    ],
  };
}

function agentContainer({ tier, settings }: BuildContext): object {
  const { image, resources, access } = tier.spec;
  return {
    name: 'agent',
    image: image ?? settings.agentImage,
    imagePullPolicy: settings.agentImagePullPolicy,
    // Not a command: the image itself knows by which flags Node is to run.
    args: ['--config', `${CONFIG_DIR}/${CONFIG_FILE}`],
    env: environment(tier),
    ports: [
      {
        name: 'grpc',
        containerPort: GRPC_PORT,
        protocol: 'TCP',
        ...(access.mode === 'HostPort' && access.hostPort !== undefined ? { hostPort: access.hostPort } : {}),
      },
      { name: 'http', containerPort: HTTP_PORT, protocol: 'TCP' },
    ],
    resources: {
      requests: { ...resources.requests },
      limits: {
        memory: resources.limits.memory,
        ...(resources.limits.cpu === undefined ? {} : { cpu: resources.limits.cpu }),
      },
    },
    ...probes(tier.spec.security.tls.enabled),
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    },
    volumeMounts: [
      // The directory, not the one file: a mounted file never changes.
      { name: 'config', mountPath: CONFIG_DIR, readOnly: true },
      { name: 'outbox', mountPath: OUTBOX_DIR },
      { name: 'tmp', mountPath: '/tmp' },
      ...tlsVolume(tier).mounts,
      ...tokensVolume(tier).mounts,
      ...encryptionVolume(tier).mounts,
      ...redisVolume(tier).mounts,
    ],
  };
}

function environment(tier: BuildContext['tier']): object[] {
  return [
    { name: 'EDGE_NODE_ID', valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: 'spec.nodeName' } } },
    { name: 'CACHE_OUTBOX_DIR', value: OUTBOX_DIR },
    ...redisEnvironment(tier),
  ];
}

function probes(isTls: boolean): object {
  // Alive is who answers at all: an agent without Redis is degraded, and a restart would only empty its memory.
  const alive = { httpGet: { path: '/healthz', port: 'http' } };
  return {
    startupProbe: { ...alive, periodSeconds: 1, timeoutSeconds: 1, failureThreshold: 60 },
    livenessProbe: { ...alive, periodSeconds: 10, timeoutSeconds: 3, failureThreshold: 3 },
    // gRPC's own health service: NOT_SERVING as soon as the agent drains.
    // The kubelet does not speak TLS there; the HTTP port says the same.
    readinessProbe: {
      ...(isTls ? { httpGet: { path: '/readyz', port: 'http' } } : { grpc: { port: GRPC_PORT } }),
      ...{ periodSeconds: 2, timeoutSeconds: 1, failureThreshold: 2 },
    },
  };
}
