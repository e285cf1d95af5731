import type { KubeObject } from '../kube/object.ts';
import type { BuildContext } from './context.ts';
import { childLabels, trustName } from './names.ts';

/** What pods mount to know the agents by. Public, so a ConfigMap: a Secret would need rights that nobody else needs. */
export function buildTrust({ object, trust }: BuildContext): KubeObject[] {
  if (trust === undefined) return [];
  const { name } = object.metadata;
  return [
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: trustName(name), labels: childLabels(name) },
      data: { 'ca.crt': trust },
    },
  ];
}
