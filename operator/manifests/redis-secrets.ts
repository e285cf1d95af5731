import type { EdgeCacheTier } from '../../api/tier.ts';
import { CONFIG_DIR } from './names.ts';

/** How agents are given the secrets by which they reach Redis. */

const DIR = `${CONFIG_DIR}/redis-tls`;

/** Users and passwords. */
export function redisEnvironment({ spec: { redis } }: EdgeCacheTier): object[] {
  const { username, passwordSecretRef, sentinelUsername, sentinelPasswordSecretRef } = redis;
  return [
    ...text('REDIS_USERNAME', username),
    ...secret('REDIS_PASSWORD', passwordSecretRef),
    ...text('REDIS_SENTINEL_USERNAME', sentinelUsername),
    ...secret('REDIS_SENTINEL_PASSWORD', sentinelPasswordSecretRef),
  ];
}

/** Where agents find the files of TLS. */
export function redisFilesOf({ spec: { redis } }: EdgeCacheTier): object {
  return {
    ...(redis.caSecretName === undefined ? {} : { caFile: `${DIR}/ca.crt` }),
    ...(redis.certSecretName === undefined ? {} : { certFile: `${DIR}/tls.crt`, keyFile: `${DIR}/tls.key` }),
  };
}

/** One folder, whether they are in one Secret or in two. */
export function redisVolume({ spec: { redis } }: EdgeCacheTier): { volumes: object[]; mounts: object[] } {
  const { caSecretName, certSecretName } = redis;
  const sources = [...source(caSecretName, ['ca.crt']), ...source(certSecretName, ['tls.crt', 'tls.key'])];
  if (sources.length === 0) return { volumes: [], mounts: [] };
  return {
    // 0440: the agent's group, by fsGroup, and nobody else.
    volumes: [{ name: 'redis-tls', projected: { defaultMode: 0o440, sources } }],
    mounts: [{ name: 'redis-tls', mountPath: DIR, readOnly: true }],
  };
}

function source(name: string | undefined, keys: readonly string[]): object[] {
  if (name === undefined) return [];
  return [{ secret: { name, items: keys.map((key) => ({ key, path: key })) } }];
}

function text(name: string, value: string | undefined): object[] {
  return value === undefined ? [] : [{ name, value }];
}

function secret(name: string, ref: { name: string; key: string } | undefined): object[] {
  return ref === undefined ? [] : [{ name, valueFrom: { secretKeyRef: { name: ref.name, key: ref.key } } }];
}
