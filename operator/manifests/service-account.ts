import type { KubeObject } from '../kube/object.ts';
import type { BuildContext } from './context.ts';
import { childLabels, childName } from './names.ts';

/**
 * An identity for the agents without any rights: they never talk to the API server, save where the tier takes tokens of
 * ServiceAccounts; see controller/token-reviewers.ts.
 */
export function buildServiceAccount({ object, tier }: BuildContext): KubeObject {
  const { name } = object.metadata;
  const { imagePullSecrets } = tier.spec;
  return {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: childName(name), labels: childLabels(name) },
    automountServiceAccountToken: false,
    ...(imagePullSecrets.length > 0 ? { imagePullSecrets } : {}),
  };
}
