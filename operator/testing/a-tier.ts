import { type EdgeCacheTier, parseTier } from '../../api/tier.ts';
import type { KubeObject } from '../kube/object.ts';
import { TIERS } from '../kube/resources.ts';
import { buildAgentFile } from '../manifests/agent-file.ts';
import type { BuildContext, BuildSettings } from '../manifests/context.ts';

export const SETTINGS: BuildSettings = {
  agentImage: 'edgecache/agent:1.2.3',
  agentImagePullPolicy: 'IfNotPresent',
  operatorNamespace: 'edgecache-system',
  reloadKey: 'MCowBQYDK2VwAyEA',
  hasServiceMonitors: false,
  hasCertificates: false,
  clusterDomain: 'cluster.local',
};

/** A tier as the API server would hand it out. */
export function aTier(
  name = 'edge-us-east',
  spec: Record<string, unknown> = {},
  metadata: object = {},
): KubeObject {
  return {
    apiVersion: TIERS.apiVersion,
    kind: TIERS.kind,
    metadata: {
      name,
      namespace: 'shop',
      uid: `uid-of-${name}`,
      generation: 1,
      resourceVersion: '1',
      ...metadata,
    },
    spec: { region: 'us-east', tier: 'edge', redis: { nodes: ['redis:6379'] }, ...spec },
  };
}

export function contextOf(object: KubeObject, settings: Partial<BuildSettings> = {}): BuildContext {
  const tier: EdgeCacheTier = parseTier(object);
  const all = { ...SETTINGS, ...settings };
  return { object, tier, file: buildAgentFile(object, tier, all.reloadKey), settings: all };
}
