import type { KubeObject } from '../kube/object.ts';
import { CERTIFICATES } from '../kube/resources.ts';
import type { BuildContext } from './context.ts';
import { childLabels, childName, issuedSecretName, servingNames } from './names.ts';

/** What cert-manager is asked for, where the tier names an issuer. */
export function buildCertificate({ object, tier, settings }: BuildContext): KubeObject[] {
  const { enabled, issuerRef } = tier.spec.security.tls;
  if (!enabled || issuerRef === undefined) return [];
  const { name } = object.metadata;
  return [
    {
      apiVersion: CERTIFICATES.apiVersion,
      kind: CERTIFICATES.kind,
      metadata: { name: childName(name), labels: childLabels(name) },
      spec: {
        secretName: issuedSecretName(name),
        secretTemplate: { labels: childLabels(name) },
        commonName: childName(name),
        dnsNames: servingNames(object, settings.clusterDomain),
        privateKey: { algorithm: 'ECDSA', size: 256, rotationPolicy: 'Always' },
        usages: ['digital signature', 'server auth'],
        issuerRef: { ...issuerRef },
      },
    },
  ];
}
