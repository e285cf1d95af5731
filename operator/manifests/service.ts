import { GRPC_PORT, HTTP_PORT } from '../../api/well-known.ts';
import type { KubeObject } from '../kube/object.ts';
import type { BuildContext } from './context.ts';
import { childLabels, childName, ENDPOINTS_LABEL, headlessName, selectorLabels } from './names.ts';

const GRPC = { name: 'grpc', port: GRPC_PORT, targetPort: 'grpc', protocol: 'TCP', appProtocol: 'grpc' };
const HTTP = { name: 'http', port: HTTP_PORT, targetPort: 'http', protocol: 'TCP', appProtocol: 'http' };

/** What applications use: it leads to the agent of the caller's own node. */
export function buildLocalService({ object, tier }: BuildContext): KubeObject {
  const { name } = object.metadata;
  const preferSameNode = tier.spec.access.mode === 'PreferSameNode';
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: childName(name), labels: childLabels(name) },
    spec: {
      type: 'ClusterIP',
      // Both are always given: a field left out would keep what was there before where another manager owns it.
      internalTrafficPolicy: preferSameNode ? 'Cluster' : 'Local',
      ...(preferSameNode ? { trafficDistribution: 'PreferSameNode' } : {}),
      selector: selectorLabels(name),
      ports: [GRPC],
    },
  };
}

/** Lists the agents one by one: for the operator, for Prometheus, and for people who look for one agent. */
export function buildHeadlessService({ object }: BuildContext): KubeObject {
  const { name } = object.metadata;
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: headlessName(name), labels: { ...childLabels(name), [ENDPOINTS_LABEL]: 'agents' } },
    spec: { type: 'ClusterIP', clusterIP: 'None', selector: selectorLabels(name), ports: [GRPC, HTTP] },
  };
}
