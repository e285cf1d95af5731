import { agentFileOf } from '../../api/agent-config.ts';
import { coldPart, configHash } from '../../api/reload.ts';
import type { EdgeCacheTier } from '../../api/tier.ts';
import { type KubeObject, keyOf } from '../kube/object.ts';
import { canonicalJson, shortHash } from './canonical.ts';
import { encryptionOf } from './encryption.ts';
import { redisFilesOf } from './redis-secrets.ts';
import { securityOf } from './security-file.ts';

/** The agents' file of configuration, byte for byte as it is mounted and as it is sent to running agents. */
export interface AgentConfigFile {
  readonly text: string;
  /** Names the whole file. */
  readonly hash: string;
  /** Names the part that needs new pods when it changes. */
  readonly coldHash: string;
  /** Whether agents that run by it speak TLS. */
  readonly hasTls: boolean;
}

export function buildAgentFile(object: KubeObject, tier: EdgeCacheTier, reloadKey: string): AgentConfigFile {
  const shared = agentFileOf(tier);
  const file: Record<string, unknown> = {
    ...shared,
    redis: { ...shared.redis, ...redisFilesOf(tier) },
    ...encryptionOf(tier),
    ...securityOf(tier),
    origin: {
      tier: keyOf(object),
      uid: object.metadata.uid ?? '',
      generation: object.metadata.generation ?? 0,
      reloadKey,
    },
  };
  const text = `${canonicalJson(file, 2)}\n`;
  const coldHash = shortHash(coldPart(file));
  return { text, hash: configHash(text), coldHash, hasTls: tier.spec.security.tls.enabled };
}
