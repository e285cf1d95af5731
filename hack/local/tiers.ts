import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { type AgentFile, agentFileOf } from '../../api/agent-config.ts';
import { API_VERSION, type EdgeCacheTier, parseTier } from '../../api/tier.ts';

/** Every EdgeCacheTier of a folder of manifests, as `kubectl apply -f` would take them. @throws InvalidInputError */
export function loadTiers(folder: string): EdgeCacheTier[] {
  return readdirSync(folder)
    .filter((name) => /\.ya?ml$/.test(name))
    .sort()
    .flatMap((name) => {
      const file = join(folder, name);
      return parseAllDocuments(readFileSync(file, 'utf8'))
        .map((document): unknown => document.toJS())
        .filter((manifest) => isTier(manifest))
        .map((manifest) => parseTier(manifest, file));
    });
}

/** The configuration of a tier's agents, with the Redis that is really there in place of the one in the manifest. */
export function localAgentFile(tier: EdgeCacheTier, redis: AgentFile['redis']): AgentFile {
  return { ...agentFileOf(tier), redis };
}

function isTier(manifest: unknown): boolean {
  return (
    typeof manifest === 'object' && manifest !== null && Reflect.get(manifest, 'apiVersion') === API_VERSION
  );
}
