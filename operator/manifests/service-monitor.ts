import type { KubeObject } from '../kube/object.ts';
import type { BuildContext } from './context.ts';
import { childLabels, childName, ENDPOINTS_LABEL, selectorLabels } from './names.ts';

/** Agents are known by their nodes; Prometheus itself names only pods. */
const NODE_LABEL = {
  action: 'replace',
  sourceLabels: ['__meta_kubernetes_pod_node_name'],
  targetLabel: 'node',
};

/** Has the Prometheus operator scrape each agent. */
export function buildServiceMonitor({ object, tier }: BuildContext): KubeObject {
  const { name } = object.metadata;
  const { labels, intervalSeconds } = tier.spec.monitoring;
  return {
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'ServiceMonitor',
    metadata: { name: childName(name), labels: { ...labels, ...childLabels(name) } },
    spec: {
      // The headless Service alone: both would scrape every agent twice.
      selector: { matchLabels: { ...selectorLabels(name), [ENDPOINTS_LABEL]: 'agents' } },
      endpoints: [
        { port: 'http', path: '/metrics', interval: `${intervalSeconds}s`, relabelings: [NODE_LABEL] },
      ],
    },
  };
}
