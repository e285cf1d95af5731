import { z } from 'zod';
import { cidr } from './cidr.ts';
import { byteQuantity, quantityToBytes } from './quantity.ts';

/**
 * What a tier says about running its agents in a cluster: read by the operator alone.
 * No agent and no local mode acts on these fields.
 */

export const ACCESS_MODES = ['Local', 'PreferSameNode', 'HostPort'] as const;

const DNS_LABEL = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/;
const DNS_NAME = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/;

const dnsLabel = (what: string) =>
  z.string().min(1).max(63).regex(DNS_LABEL, `${what} must be lower case letters, digits and "-"`);
export const dnsName = (what: string) =>
  z.string().min(1).max(253).regex(DNS_NAME, `${what} must be lower case letters, digits, "-" and "."`);

const labelKey = z
  .string()
  .max(317)
  .regex(
    /^([a-z0-9]([a-z0-9.-]*[a-z0-9])?\/)?[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$/,
    'must be a label key, such as topology.kubernetes.io/region',
  );
const labelValue = z
  .string()
  .max(63)
  .regex(/^([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?$/, 'must be a label value, such as us-east');

const cpuQuantity = z
  .string()
  .max(20)
  .regex(
    /^([1-9][0-9]{0,6}m|[1-9][0-9]{0,3}|[0-9]{1,4}\.[0-9]{1,3})$/,
    'must be CPUs such as 250m, 1 or 0.5',
  );

const tolerationSchema = z.strictObject({
  key: labelKey.optional().describe('Taint key that is tolerated. Left out: every key.'),
  operator: z
    .enum(['Exists', 'Equal'], 'must be Exists or Equal')
    .optional()
    .describe('How the value is compared. Default Equal.'),
  value: labelValue.optional().describe('Taint value that is tolerated; not with operator Exists.'),
  effect: z
    .enum(
      ['NoSchedule', 'PreferNoSchedule', 'NoExecute'],
      'must be NoSchedule, PreferNoSchedule or NoExecute',
    )
    .optional()
    .describe('Taint effect that is tolerated. Left out: every effect.'),
  tolerationSeconds: z
    .number()
    .int()
    .min(0)
    .max(86_400)
    .optional()
    .describe('How long a NoExecute taint is tolerated. Left out: for ever.'),
});

const resourcesSchema = z.strictObject({
  requests: z
    .strictObject({
      cpu: cpuQuantity.default('100m').describe('CPU set aside for an agent.'),
      memory: byteQuantity.default('128Mi').describe('Memory set aside for an agent.'),
    })
    .prefault({})
    .describe('What the scheduler sets aside on each node.'),
  limits: z
    .strictObject({
      cpu: cpuQuantity
        .optional()
        .describe('Most CPU of an agent. Left out, as it should be: a throttled cache is a slow cache.'),
      memory: byteQuantity
        .default('256Mi')
        .describe('Most memory of an agent; must be more than l1.maxBytes, about twice as much is good.'),
    })
    .prefault({})
    .describe('What an agent may use at most.'),
});

/** A number of nodes, or a share of them. */
const nodeCount = z.union(
  [
    z.number().int().min(0).max(10_000),
    z
      .string()
      .max(4)
      .regex(/^([1-9]?[0-9]|100)%$/),
  ],
  'must be a number of nodes, such as 1, or a share of them, such as "10%"',
);

const rolloutSchema = z.strictObject({
  maxUnavailable: nodeCount
    .optional()
    .describe('Nodes whose agent may be down during a rollout: a number or a share. Default 10%.'),
  maxSurge: nodeCount
    .optional()
    .describe(
      'Nodes that may run the old and the new agent at once during a rollout; instead of maxUnavailable, for no gap on any node.',
    ),
  minReadySeconds: z
    .number()
    .int()
    .min(0)
    .max(3_600)
    .default(5)
    .describe('How long a new agent must be ready before the rollout goes on.'),
});

const accessSchema = z.strictObject({
  mode: z
    .enum(ACCESS_MODES, 'must be Local, PreferSameNode or HostPort')
    .default('Local')
    .describe(
      'Local: the Service reaches only the agent of the caller’s own node. PreferSameNode: that one first, then others (Kubernetes 1.34). HostPort: also a port of the node, which needs a namespace without the baseline Pod Security.',
    ),
  hostPort: z
    .number()
    .int()
    .min(1_024)
    .max(65_535)
    .optional()
    .describe('Port of the node; needed with, and only allowed with, mode HostPort.'),
});

const networkPolicySchema = z.strictObject({
  policy: z
    .enum(['Managed', 'None'], 'must be Managed or None')
    .default('Managed')
    .describe(
      'Managed: the operator restricts who reaches the agents and whom they reach. None: it does not.',
    ),
  clientNamespaces: z
    .array(
      z
        .string()
        .min(1)
        .max(63)
        .regex(/^([a-z0-9]([a-z0-9-]*[a-z0-9])?|[*])$/, 'must be the name of a namespace, or "*" for all'),
    )
    .max(64)
    .default([])
    .describe('Namespaces, beside the tier’s own, whose pods may ask the agents. "*" stands for all.'),
  clientCidrs: z
    .array(cidr)
    .max(64)
    .default([])
    .describe(
      'Ranges of addresses that may ask the agents, for who is not a pod: nodes with access.mode HostPort, or machines outside the cluster.',
    ),
  metricsNamespaces: z
    .array(dnsLabel('a namespace'))
    .max(16)
    .default(['monitoring'])
    .describe('Namespaces, beside the tier’s own, whose pods may read the agents’ metrics.'),
  redisPorts: z
    .array(z.number().int().min(1).max(65_535))
    .max(16)
    .default([])
    .describe('Ports of Redis that agents may reach beside those of redis.nodes and 6379.'),
  apiServerPorts: z
    .array(z.number().int().min(1).max(65_535))
    .max(8)
    .default([443, 6443])
    .describe('Ports of the API server, which agents may reach only with security.auth.serviceAccounts.'),
});

const monitoringSchema = z.strictObject({
  serviceMonitor: z
    .enum(['WhenAvailable', 'Never'], 'must be WhenAvailable or Never')
    .default('WhenAvailable')
    .describe('WhenAvailable: a ServiceMonitor is made where the cluster has the Prometheus operator.'),
  labels: z
    .record(labelKey, labelValue)
    .default({})
    .describe('Labels that your Prometheus selects ServiceMonitors by, such as release: prometheus.'),
  intervalSeconds: z.number().int().min(1).max(3_600).default(15).describe('How often agents are scraped.'),
});

export const secretKeyRefSchema = z.strictObject({
  name: dnsName('a Secret’s name').describe('Name of a Secret in the tier’s namespace.'),
  key: z
    .string()
    .min(1)
    .max(253)
    .regex(/^[-._a-zA-Z0-9]+$/, 'must have only letters, digits, "-", "_" and "."')
    .default('password')
    .describe('Key within the Secret.'),
});

export const deploymentFields = {
  nodeSelector: z
    .record(labelKey, labelValue)
    .optional()
    .describe(
      'Labels of the nodes that run an agent. Default: topology.kubernetes.io/region with the tier’s region.',
    ),
  tolerations: z
    .array(tolerationSchema)
    .max(32)
    .default([])
    .describe('Taints of those nodes that agents tolerate.'),
  resources: resourcesSchema.prefault({}).describe('CPU and memory of each agent.'),
  priorityClassName: dnsName('a PriorityClass’s name')
    .optional()
    .describe('PriorityClass of the agents, so that they are not the first to be evicted.'),
  image: z
    .string()
    .min(1)
    .max(512)
    .regex(/^[a-z0-9][A-Za-z0-9._/:@-]*$/, 'must be an image, such as ghcr.io/acme/edgecache-agent:0.1.0')
    .optional()
    .describe('Image of the agents. Default: the one that the operator was installed with.'),
  imagePullSecrets: z
    .array(
      z.strictObject({
        name: dnsName('a Secret’s name').describe('Name of a Secret in the tier’s namespace.'),
      }),
    )
    .max(8)
    .default([])
    .describe('Secrets with credentials for the registry of the image.'),
  rollout: rolloutSchema.prefault({}).describe('How a change that needs new pods is rolled out.'),
  access: accessSchema.prefault({}).describe('How pods reach the agent of their node.'),
  networkPolicy: networkPolicySchema
    .prefault({})
    .describe('Who may reach the agents, and whom they may reach.'),
  monitoring: monitoringSchema.prefault({}).describe('How the agents are scraped by Prometheus.'),
};

const deploymentSchema = z.strictObject(deploymentFields);
export type DeploymentSpec = z.infer<typeof deploymentSchema>;

/** Rules across the fields of a deployment. The CRD has each of them as CEL: see hack/crd/rules.ts. */
export function checkDeployment(
  spec: DeploymentSpec,
  l1MaxBytes: string,
  fail: (path: string[], remedy: string) => void,
): void {
  const { rollout, access, resources } = spec;
  if (rollout.maxUnavailable !== undefined && rollout.maxSurge !== undefined)
    fail(['rollout', 'maxSurge'], 'may not be specified together with maxUnavailable; remove one of the two');
  if (access.mode === 'HostPort' && rollout.maxSurge !== undefined)
    fail(['rollout', 'maxSurge'], 'may not be specified when access.mode is HostPort; use maxUnavailable');
  if (isNoNode(rollout.maxUnavailable) || isNoNode(rollout.maxSurge))
    fail(['rollout'], 'must let at least one node change at a time; give a number above 0');
  if (access.mode === 'HostPort' && access.hostPort === undefined)
    fail(['access', 'hostPort'], 'must be given when access.mode is HostPort');
  if (access.mode !== 'HostPort' && access.hostPort !== undefined)
    fail(['access', 'hostPort'], 'may be specified only when access.mode is HostPort');
  if (quantityToBytes(l1MaxBytes) >= quantityToBytes(resources.limits.memory))
    fail(['l1', 'maxBytes'], 'must be less than resources.limits.memory; raise the limit or lower maxBytes');
}

function isNoNode(count: number | string | undefined): boolean {
  return count === 0 || count === '0%';
}
