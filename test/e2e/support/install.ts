import { inject } from 'vitest';
import { installOperator } from '../../../hack/cluster/prepare.ts';
import { apply, NAMESPACE } from './cluster.ts';

/** Values that the tests install by: every file the same, so that none upgrades without meaning to. */
const VALUES = ['--set', `test.tier=lookup,test.namespace=${NAMESPACE}`];

/** The operator, and a namespace for tiers. What is there already is kept. */
export async function ensureInstalled(...values: readonly string[]): Promise<void> {
  await apply({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: NAMESPACE, labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
  });
  await installOperator(inject('cluster'), [...VALUES, ...values]);
}
