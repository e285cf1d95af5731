import type { Cluster, Redis } from 'ioredis';
import type { ExplainResponse } from '../../proto/gen/edgecache/v1/edgecache.ts';
import { fromRedis, RedisUnavailableError } from '../errors.ts';
import type { PartitionKeys } from '../l2/keys.ts';

export type RedisSide = Omit<NonNullable<ExplainResponse['redis']>, 'askedMs'>;
type Marker = RedisSide['markers'][number];

export interface StoredKeyRequest {
  readonly names: PartitionKeys;
  readonly namespace: string;
  readonly key: string;
  /** Whose markers to look for, beside those of the entry's own. */
  readonly tags: readonly string[];
  readonly wantAgents: boolean;
}

/** Fields before the markers, and of each marker. */
const FIELDS = 12;
const MARKER_FIELDS = 4;

/** What Redis has of one key, in one atomic look that changes nothing. @throws RedisUnavailableError, RedisRefusedError */
export async function readStoredKey(
  client: Redis | Cluster,
  { names, namespace, key, tags, wantAgents }: StoredKeyRequest,
): Promise<RedisSide> {
  const keys = [
    names.meta,
    names.entry(namespace, key),
    names.lease(namespace, key),
    names.namespaceMarker(namespace),
    names.agents,
  ];
  const args = [names.tagMarkerPrefix(namespace), wantAgents ? 1 : 0, ...tags];
  let reply: unknown;
  try {
    reply = await client.ecExplain(keys.length, ...keys, ...args);
  } catch (error) {
    throw fromRedis(error);
  }
  if (!Array.isArray(reply) || reply.length < FIELDS)
    throw new RedisUnavailableError(new Error('the explain script answered something else than a list'));
  return toSide(reply);
}

function toSide(reply: readonly unknown[]): RedisSide {
  const [head, headEventId, clockUs, bytes, ttlMs, version, flags, tags, base, leaseMs, agents, names] =
    reply;
  const markers = toMarkers(reply.slice(FIELDS));
  const isStored = Number(bytes) > 0;
  return {
    head: String(head),
    headEventId: String(headEventId),
    clockUs: Number(clockUs),
    stored: isStored
      ? {
          version: String(version),
          ttlMs: Number(ttlMs),
          bytes: Number(bytes),
          flags: Number(flags),
          tags: toTags(String(tags)),
        }
      : undefined,
    invalidated: markers.some(({ newer }) => newer),
    markers,
    lease: base === '' ? undefined : { since: String(base), leftMs: Number(leaseMs), refresh: isStored },
    agents: Number(agents),
    agentIds: Array.isArray(names) ? names.map(String).sort() : [],
  };
}

function toMarkers(flat: readonly unknown[]): Marker[] {
  const markers: Marker[] = [];
  for (let i = 0; i + MARKER_FIELDS <= flat.length; i += MARKER_FIELDS) {
    const [tag, version, ttlMs, newer] = flat.slice(i, i + MARKER_FIELDS);
    markers.push({ tag: String(tag), version: String(version), ttlMs: Number(ttlMs), newer: newer === 1 });
  }
  return markers;
}

function toTags(json: string): string[] {
  if (json === '') return [];
  const tags: unknown = JSON.parse(json);
  return Array.isArray(tags) ? tags.filter((tag) => typeof tag === 'string') : [];
}
