import { TIER_LABEL } from '../../api/well-known.ts';
import type { KubeObject, OwnerReference } from '../kube/object.ts';
import { TIERS } from '../kube/resources.ts';

/** Names, labels and references that all children of a tier share. */

export const MANAGED_BY = 'edgecache-operator';
/** Marks the Service, and so the EndpointSlices, that list the agents one by one. */
export const ENDPOINTS_LABEL = 'edgecache.dev/endpoints';
export const PAUSED_ANNOTATION = 'edgecache.dev/paused';
export const APPLIED_HASH_ANNOTATION = 'edgecache.dev/applied-hash';
export const COLD_HASH_ANNOTATION = 'edgecache.dev/cold-config-hash';
export const CONFIG_HASH_ANNOTATION = 'edgecache.dev/config-hash';

/** Any other value than before makes the operator make a new certificate at once. */
export const RENEW_ANNOTATION = 'edgecache.dev/renew-certificate';

export const CONFIG_DIR = '/etc/edgecache';
export const CONFIG_FILE = 'agent.json';
export const OUTBOX_DIR = '/var/lib/edgecache/outbox';

/** Selects all that the operator owns, of any tier. */
export const MANAGED_SELECTOR = `app.kubernetes.io/managed-by=${MANAGED_BY}`;

/** Also the name of the Service that applications use: `edgecache-<tier>.<namespace>:7480`. */
export const childName = (tierName: string): string => `edgecache-${tierName}`;
export const headlessName = (tierName: string): string => `${childName(tierName)}-agents`;

/** Secret with the certificate that the operator made. The chart's admission policy knows names by this end. */
export const servingSecretName = (tierName: string): string => `${childName(tierName)}-serving`;
/** Secret that cert-manager is asked to fill. */
export const issuedSecretName = (tierName: string): string => `${childName(tierName)}-tls`;
/** All names under which a pod may ask, the one of the Service first. */
export function servingNames(
  { metadata: { name, namespace = 'default' } }: KubeObject,
  clusterDomain: string,
): string[] {
  return [childName(name), headlessName(name)].flatMap((service) => [
    service,
    `${service}.${namespace}`,
    `${service}.${namespace}.svc`,
    `${service}.${namespace}.svc.${clusterDomain}`,
  ]);
}
/** ConfigMap with what clients are to trust. */
export const trustName = (tierName: string): string => `${childName(tierName)}-ca`;

/** What a DaemonSet and Services select by. Immutable, so it has nothing that may ever change. */
export function selectorLabels(tierName: string): Record<string, string> {
  return {
    'app.kubernetes.io/name': 'edgecache-agent',
    'app.kubernetes.io/instance': tierName,
    [TIER_LABEL]: tierName,
  };
}

export function childLabels(tierName: string): Record<string, string> {
  return {
    ...selectorLabels(tierName),
    'app.kubernetes.io/component': 'agent',
    'app.kubernetes.io/part-of': 'edgecache',
    'app.kubernetes.io/managed-by': MANAGED_BY,
  };
}

/** A controller reference: deleting the tier deletes the child, and no other controller may claim it. */
export function ownerReference(tier: KubeObject): OwnerReference {
  return {
    apiVersion: TIERS.apiVersion,
    kind: TIERS.kind,
    name: tier.metadata.name,
    uid: tier.metadata.uid ?? '',
    controller: true,
    blockOwnerDeletion: true,
  };
}

export function isOwnedBy(child: KubeObject, tierUid: string | undefined): boolean {
  return (child.metadata.ownerReferences ?? []).some((owner) => owner.uid === tierUid);
}
