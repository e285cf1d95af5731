import type { KubeObject } from './object.ts';

/** A kind of object and where the API server keeps it. */
export interface Resource {
  readonly apiVersion: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespaced: boolean;
}

const resource = (apiVersion: string, kind: string, plural: string, namespaced = true): Resource => ({
  apiVersion,
  kind,
  plural,
  namespaced,
});

export const TIERS = resource('edgecache.dev/v1alpha1', 'EdgeCacheTier', 'edgecachetiers');
export const CONFIG_MAPS = resource('v1', 'ConfigMap', 'configmaps');
export const SERVICES = resource('v1', 'Service', 'services');
export const SERVICE_ACCOUNTS = resource('v1', 'ServiceAccount', 'serviceaccounts');
export const SECRETS = resource('v1', 'Secret', 'secrets');
export const NODES = resource('v1', 'Node', 'nodes', false);
export const DAEMON_SETS = resource('apps/v1', 'DaemonSet', 'daemonsets');
export const NETWORK_POLICIES = resource('networking.k8s.io/v1', 'NetworkPolicy', 'networkpolicies');
export const ENDPOINT_SLICES = resource('discovery.k8s.io/v1', 'EndpointSlice', 'endpointslices');
export const LEASES = resource('coordination.k8s.io/v1', 'Lease', 'leases');
export const CLUSTER_ROLE_BINDINGS = resource(
  'rbac.authorization.k8s.io/v1',
  'ClusterRoleBinding',
  'clusterrolebindings',
  false,
);
export const EVENTS = resource('events.k8s.io/v1', 'Event', 'events');
export const SERVICE_MONITORS = resource('monitoring.coreos.com/v1', 'ServiceMonitor', 'servicemonitors');
export const CERTIFICATES = resource('cert-manager.io/v1', 'Certificate', 'certificates');

/** Kinds that the operator makes for a tier, in the order in which they are applied. */
export const CHILD_RESOURCES: readonly Resource[] = [
  SERVICE_ACCOUNTS,
  CONFIG_MAPS,
  CERTIFICATES,
  NETWORK_POLICIES,
  SERVICES,
  DAEMON_SETS,
  SERVICE_MONITORS,
];

export function childResourceOf(object: KubeObject): Resource {
  const found = CHILD_RESOURCES.find((r) => r.kind === object.kind && r.apiVersion === object.apiVersion);
  if (found === undefined) throw new Error(`${object.apiVersion} ${object.kind} is no child of a tier`);
  return found;
}

export interface Place {
  readonly namespace?: string | undefined;
  readonly name?: string;
  readonly subresource?: string;
}

/** Path of a collection or of one object. */
export function pathOf({ apiVersion, plural, namespaced }: Resource, place: Place = {}): string {
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const parts = [root];
  if (namespaced && place.namespace) parts.push('namespaces', encodeURIComponent(place.namespace));
  parts.push(plural);
  if (place.name !== undefined) parts.push(encodeURIComponent(place.name));
  if (place.subresource !== undefined) parts.push(place.subresource);
  return parts.join('/');
}
