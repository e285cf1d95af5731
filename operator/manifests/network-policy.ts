import { splitHostPort } from '../../api/redis.ts';
import { tracingPort } from '../../api/tracing.ts';
import { GRPC_PORT, HTTP_PORT } from '../../api/well-known.ts';
import type { KubeObject } from '../kube/object.ts';
import type { BuildContext } from './context.ts';
import { childLabels, childName, selectorLabels } from './names.ts';

const NAMESPACE_NAME = 'kubernetes.io/metadata.name';
const tcp = (port: number) => ({ protocol: 'TCP', port });
const sameNamespace = { podSelector: {} };

/**
 * Who may ask the agents, who may read their metrics, and whom they may reach: name servers, Redis, and who takes their traces.
 * Probes need no rule: a node always reaches its own pods.
 */
export function buildNetworkPolicy(context: BuildContext): KubeObject {
  const { name } = context.object.metadata;
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: childName(name), labels: childLabels(name) },
    spec: {
      podSelector: { matchLabels: selectorLabels(name) },
      policyTypes: ['Ingress', 'Egress'],
      ingress: ingressRules(context),
      egress: egressRules(context),
    },
  };
}

function ingressRules({ tier, settings }: BuildContext): object[] {
  const { clientNamespaces, clientCidrs, metricsNamespaces } = tier.spec.networkPolicy;
  // The operator reads statistics over gRPC and hands over configuration over HTTP.
  const operator = peers([settings.operatorNamespace]);
  const clients = clientNamespaces.includes('*') ? [{ namespaceSelector: {} }] : peers(clientNamespaces);
  const ranges = [...new Set(clientCidrs)].map((range) => ({ ipBlock: { cidr: range } }));
  return [
    { from: [sameNamespace, ...operator, ...clients, ...ranges], ports: [tcp(GRPC_PORT)] },
    { from: [sameNamespace, ...operator, ...peers(metricsNamespaces)], ports: [tcp(HTTP_PORT)] },
  ];
}

function peers(namespaces: readonly string[]): object[] {
  return [...new Set(namespaces)].map((namespace) => ({
    namespaceSelector: { matchLabels: { [NAMESPACE_NAME]: namespace } },
  }));
}

function egressRules({ tier }: BuildContext): object[] {
  return [
    { ports: [{ protocol: 'UDP', port: 53 }, tcp(53)] },
    // By port alone: Redis may be outside the cluster, and nodes of a cluster tell each other's addresses.
    { ports: redisPorts(tier.spec).map(tcp) },
    // By port alone: what address the API server has, a policy sees only after the Service's has been replaced by it.
    ...(tier.spec.security.auth.serviceAccounts
      ? [{ ports: tier.spec.networkPolicy.apiServerPorts.map(tcp) }]
      : []),
    ...tracingRules(tier.spec),
  ];
}

/** By port alone as well: the receiver may be a Service, whose pods' addresses are not known here. */
function tracingRules({ tracing }: BuildContext['tier']['spec']): object[] {
  return tracing?.endpoint === undefined ? [] : [{ ports: [tcp(tracingPort(tracing.endpoint))] }];
}

function redisPorts({ redis, networkPolicy }: BuildContext['tier']['spec']): number[] {
  const given = redis.nodes.map((node) => splitHostPort(node).port);
  return [...new Set([6379, ...given, ...networkPolicy.redisPorts])].sort((a, b) => a - b);
}
