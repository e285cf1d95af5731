import type { EdgeCacheTier } from '../../api/tier.ts';
import { CONFIG_DIR, issuedSecretName, servingSecretName } from './names.ts';

const DIR = `${CONFIG_DIR}/tls`;

/** The Secret that the agents' certificate is in; undefined: the tier wants no TLS. */
export function tlsSecretOf(tier: EdgeCacheTier): string | undefined {
  const { enabled, secretName, issuerRef } = tier.spec.security.tls;
  const { name } = tier.metadata;
  if (!enabled) return undefined;
  if (secretName !== undefined) return secretName;
  return issuerRef === undefined ? servingSecretName(name) : issuedSecretName(name);
}

/** Whether it is the operator that makes the certificate. */
export function isOwnCertificate(tier: EdgeCacheTier): boolean {
  const { enabled, secretName, issuerRef } = tier.spec.security.tls;
  return enabled && secretName === undefined && issuerRef === undefined;
}

/** Where the agent finds it. */
export function tlsFilesOf(tier: EdgeCacheTier): object | undefined {
  const { enabled, clientCert } = tier.spec.security.tls;
  if (!enabled) return undefined;
  return {
    enabled,
    certFile: `${DIR}/tls.crt`,
    keyFile: `${DIR}/tls.key`,
    ...(clientCert === 'none' ? {} : { caFile: `${DIR}/ca.crt` }),
    clientCert,
  };
}

export function tlsVolume(tier: EdgeCacheTier): { volumes: object[]; mounts: object[] } {
  const secretName = tlsSecretOf(tier);
  if (secretName === undefined) return { volumes: [], mounts: [] };
  return {
    // 0440: the agent's group, by fsGroup, and nobody else.
    volumes: [{ name: 'tls', secret: { secretName, defaultMode: 0o440 } }],
    mounts: [{ name: 'tls', mountPath: DIR, readOnly: true }],
  };
}
