import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { apply } from '../../operator/kube/apply.ts';
import type { KubeClient } from '../../operator/kube/client.ts';
import type { KubeObject } from '../../operator/kube/object.ts';
import type { Resource } from '../../operator/kube/resources.ts';
import { eventually } from '../../operator/testing/eventually.ts';

export const CRDS: Resource = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  plural: 'customresourcedefinitions',
  namespaced: false,
};

/** Installs the CRD of tiers and waits until the API server serves it. */
export async function installCrd(client: KubeClient): Promise<void> {
  const file = new URL('../../crds/edgecache.dev_edgecachetiers.yaml', import.meta.url);
  await apply(client, CRDS, parse(readFileSync(file, 'utf8')) as KubeObject);
  await eventually('the CRD to be served', async () => {
    await client.json({ path: '/apis/edgecache.dev/v1alpha1/edgecachetiers' });
    return true;
  });
}
