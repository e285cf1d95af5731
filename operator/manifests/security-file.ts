import type { EdgeCacheTier } from '../../api/tier.ts';
import { CONFIG_DIR } from './names.ts';
import { tlsFilesOf } from './tls-mount.ts';

const TOKENS_DIR = `${CONFIG_DIR}/auth`;
const TOKENS_KEY = 'tokens';

/**
 * What the agents' file says of security; left out where the tier says nothing, because agents of an earlier image,
 * which a tier may name, do not know it.
 */
export function securityOf(tier: EdgeCacheTier): { security?: Record<string, unknown> } {
  const { accessRules, limits, accessLog } = tier.spec.security;
  const tls = tlsFilesOf(tier);
  const auth = authOf(tier);
  const security = {
    ...(tls === undefined ? {} : { tls }),
    ...(auth === undefined ? {} : { auth }),
    ...(accessRules === undefined ? {} : { accessRules }),
    ...(limits === undefined ? {} : { limits }),
    ...(accessLog === undefined ? {} : { accessLog }),
  };
  return Object.keys(security).length === 0 ? {} : { security };
}

function authOf({ spec: { security } }: EdgeCacheTier): { required: boolean } | undefined {
  const { required, tokenSecretName, serviceAccounts, audience } = security.auth;
  if (!required && !serviceAccounts && tokenSecretName === undefined) return undefined;
  return {
    required,
    ...{ serviceAccounts },
    ...(tokenSecretName === undefined ? {} : { tokenFile: `${TOKENS_DIR}/${TOKENS_KEY}` }),
    ...(audience === undefined ? {} : { audience }),
  };
}

/** The tokens that callers may show. */
export function tokensVolume({ spec: { security } }: EdgeCacheTier): { volumes: object[]; mounts: object[] } {
  const { tokenSecretName: secretName } = security.auth;
  if (secretName === undefined) return { volumes: [], mounts: [] };
  const items = [{ key: TOKENS_KEY, path: TOKENS_KEY }];
  return {
    // 0440: the agent's group, by fsGroup, and nobody else.
    volumes: [{ name: 'tokens', secret: { secretName, items, defaultMode: 0o440 } }],
    mounts: [{ name: 'tokens', mountPath: TOKENS_DIR, readOnly: true }],
  };
}
