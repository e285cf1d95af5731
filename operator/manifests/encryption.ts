import type { EdgeCacheTier } from '../../api/tier.ts';
import { CONFIG_DIR } from './names.ts';

const DIR = `${CONFIG_DIR}/encryption`;
const KEY = 'keys';

/** What the agents' file says of encryption; left out where the tier has no keys for it. */
export function encryptionOf({ spec: { encryption } }: EdgeCacheTier): { encryption?: object } {
  return encryption.secretName === undefined ? {} : { encryption: { keyFile: `${DIR}/${KEY}` } };
}

export function encryptionVolume({ spec: { encryption } }: EdgeCacheTier): {
  volumes: object[];
  mounts: object[];
} {
  const { secretName } = encryption;
  if (secretName === undefined) return { volumes: [], mounts: [] };
  const items = [{ key: KEY, path: KEY }];
  return {
    // 0440: the agent's group, by fsGroup, and nobody else.
    volumes: [{ name: 'encryption', secret: { secretName, items, defaultMode: 0o440 } }],
    mounts: [{ name: 'encryption', mountPath: DIR, readOnly: true }],
  };
}
