import type { KubeObject } from '../kube/object.ts';
import type { BuildContext } from './context.ts';
import { CONFIG_FILE, CONFIG_HASH_ANNOTATION, childLabels, childName } from './names.ts';

/** The durable copy of the agents' configuration: what an agent starts by. */
export function buildConfigMap({ object, file }: BuildContext): KubeObject {
  const { name } = object.metadata;
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name: childName(name),
      labels: childLabels(name),
      annotations: { [CONFIG_HASH_ANNOTATION]: file.hash },
    },
    data: { [CONFIG_FILE]: file.text },
  };
}
