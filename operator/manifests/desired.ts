import type { KubeObject } from '../kube/object.ts';
import { CHILD_RESOURCES } from '../kube/resources.ts';
import { shortHash } from './canonical.ts';
import { buildCertificate } from './certificate.ts';
import { buildConfigMap } from './config-map.ts';
import type { BuildContext } from './context.ts';
import { buildDaemonSet } from './daemon-set.ts';
import { APPLIED_HASH_ANNOTATION, ownerReference } from './names.ts';
import { buildNetworkPolicy } from './network-policy.ts';
import { buildHeadlessService, buildLocalService } from './service.ts';
import { buildServiceAccount } from './service-account.ts';
import { buildServiceMonitor } from './service-monitor.ts';
import { buildTrust } from './trust.ts';

/** Everything that a tier stands for, in the order in which it is to be applied. Pure. */
export function desiredChildren(context: BuildContext): KubeObject[] {
  const { spec } = context.tier;
  const children = [
    buildServiceAccount(context),
    buildConfigMap(context),
    ...buildTrust(context),
    ...buildCertificate(context),
    ...(spec.networkPolicy.policy === 'Managed' ? [buildNetworkPolicy(context)] : []),
    buildLocalService(context),
    buildHeadlessService(context),
    buildDaemonSet(context),
    ...(context.settings.hasServiceMonitors && spec.monitoring.serviceMonitor === 'WhenAvailable'
      ? [buildServiceMonitor(context)]
      : []),
  ];
  return children.map((child) => adopted(child, context.object)).sort(byOrder);
}

/** Adds what every child has: where it is, whose it is, and a hash that tells a change of the wish itself. */
function adopted(child: KubeObject, tier: KubeObject): KubeObject {
  const namespace = tier.metadata.namespace ?? 'default';
  const metadata = { ...child.metadata, namespace, ownerReferences: [ownerReference(tier)] };
  const whole = { ...child, metadata };
  const annotations = { ...metadata.annotations, [APPLIED_HASH_ANNOTATION]: shortHash(whole) };
  return { ...whole, metadata: { ...metadata, annotations } };
}

function byOrder(a: KubeObject, b: KubeObject): number {
  return rank(a) - rank(b);
}

function rank(object: KubeObject): number {
  return CHILD_RESOURCES.findIndex((resource) => resource.kind === object.kind);
}
