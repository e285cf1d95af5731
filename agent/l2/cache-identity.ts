import type { Cluster, Redis } from 'ioredis';
import { AgentError, fromRedis } from '../errors.ts';
import { cacheKey } from './keys.ts';

/**
 * Makes the cache's record where there is none and checks that this agent fits it.
 * @throws AgentError EC_PARTITIONS_MISMATCH where the cache has another number of partitions: its entries and
 * logs would be looked for in the wrong places.
 */
export async function ensureCache(
  client: Redis | Cluster,
  { cacheId, partitions }: { cacheId: string; partitions: number },
): Promise<void> {
  const key = cacheKey(cacheId);
  let standing: string | null;
  try {
    await client.hsetnx(key, 'partitions', partitions);
    standing = await client.hget(key, 'partitions');
  } catch (error) {
    throw fromRedis(error);
  }
  if (Number(standing) === partitions) return;
  throw new AgentError(
    'EC_PARTITIONS_MISMATCH',
    `cache '${cacheId}' has ${standing} partitions, and this agent is configured for ${partitions}; set partitions to ${standing}, or use another cacheId`,
  );
}
