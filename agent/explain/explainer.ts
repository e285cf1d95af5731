import type { Cluster, Redis } from 'ioredis';
import { LIMITS } from '../../api/limits.ts';
import type { Namespace } from '../../api/namespace.ts';
import type { ExplainRequest, ExplainResponse } from '../../proto/gen/edgecache/v1/edgecache.ts';
import type { Inbox } from '../bus/inbox.ts';
import type { Partition } from '../bus/partition.ts';
import type { L1 } from '../cache/l1.ts';
import type { L1Entry } from '../cache/l1-entry.ts';
import type { Reader } from '../cache/reader.ts';
import { messageOf } from '../errors.ts';
import type { L2 } from '../l2/l2.ts';
import { checkKey, checkTags, invalid, namespaceOf } from '../requests.ts';
import { scanLog } from './log-scan.ts';
import { readStoredKey } from './stored-key.ts';

export interface ExplainerOptions {
  readonly nodeId: string;
  readonly agentId: string;
  readonly namespaces: () => ReadonlyMap<string, Namespace>;
  readonly maxStalenessMs: () => number;
  readonly l1: L1;
  readonly l2: L2;
  readonly reader: Reader;
  readonly partitions: readonly Partition[];
  readonly inbox: Pick<Inbox, 'pendingOf'>;
  readonly isQueued: (partition: number, namespace: string, key: string, tags: readonly string[]) => boolean;
  /** The connection for the next command. */
  readonly commands: () => Redis | Cluster;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

type Memory = NonNullable<ExplainResponse['memory']>;
type Freshness = NonNullable<ExplainResponse['freshness']>;
type RedisParts = Pick<ExplainResponse, 'redis' | 'redisError' | 'log' | 'logError'>;

/** A key as it is asked about, checked. */
interface Question {
  readonly request: ExplainRequest;
  readonly rules: Namespace;
  readonly partition: number;
  /** When memory was looked into. */
  readonly askedAt: number;
  /** That the entry has in memory, or is said to have. */
  readonly tags: readonly string[];
}

/** A log holds about half of it. */
const MOST_LOG_EVENTS = 20_000;
/** Reads of a log at the same time: each reads some megabytes, and who explains can wait. */
const MOST_SCANS = 4;
const SCAN_MS = 3_000;

/** Says what is known of one key, here and in Redis, without changing or using anything. */
export class Explainer {
  readonly #options: ExplainerOptions;
  #scans = 0;

  constructor(options: ExplainerOptions) {
    this.#options = options;
  }

  /** @throws InvalidInputError; AgentError EC_UNKNOWN_NAMESPACE. Where Redis does not answer, the answer says so. */
  async explain(request: ExplainRequest): Promise<ExplainResponse> {
    const { namespaces, nodeId, agentId, l1, l2, isQueued, now } = this.#options;
    const { namespace, key, tags, logEvents } = request;
    const rules = namespaceOf(namespaces(), namespace);
    checkKey(key);
    checkTags(tags);
    if (logEvents > MOST_LOG_EVENTS)
      throw invalid('log_events', String(logEvents), `must be at most ${MOST_LOG_EVENTS}`);
    const partition = l2.partitionOf(namespace, key);
    // Before Redis is asked: what Redis then says is later than this look, never earlier.
    const entry = l1.peek(namespace, key);
    const known = [...new Set([...(entry?.tags ?? []), ...tags])].slice(0, 2 * LIMITS.tagsPerEntry);
    const memory = entry === undefined ? undefined : this.#memoryOf(rules, key, entry);
    const freshness = this.#freshnessOf(rules, partition);
    const queued = isQueued(partition, namespace, key, known);
    const question = { request, rules, partition, askedAt: now(), tags: known };
    return {
      nodeId,
      agentId,
      partition,
      rules: rulesOf(rules),
      memory,
      freshness,
      queued,
      ...(await this.#askRedis(question)),
    };
  }

  #memoryOf(rules: Namespace, key: string, entry: L1Entry): Memory {
    const { reader, now } = this.#options;
    const time = now();
    return {
      version: entry.version,
      absent: entry.absent,
      tags: [...entry.tags],
      bytes: entry.value.length,
      weight: entry.weight,
      heldMs: Math.max(0, Math.round(time - entry.keptAt)),
      origin: entry.origin,
      freshMs: Math.round(entry.freshUntil - time),
      leftMs: Math.round(entry.endsAt - time),
      unansweredBecause: reader.whyUnanswered(rules, key, entry) ?? '',
    };
  }

  #freshnessOf({ critical }: Namespace, index: number): Freshness | undefined {
    const { partitions, inbox, now, maxStalenessMs } = this.#options;
    const place = partitions[index];
    if (place === undefined) return undefined;
    const until = critical ? place.freshCriticalUntil : place.freshBulkUntil;
    const left = (at: number) => Math.max(0, Math.round(at - now()));
    return {
      leaseMs: left(until),
      maxStalenessMs: maxStalenessMs(),
      current: place.current,
      settlingMs: left(place.settlingUntil),
      received: place.received,
      applied: place.applied,
      pending: inbox.pendingOf(place, critical ? 'critical' : 'bulk'),
    };
  }

  async #askRedis(question: Question): Promise<RedisParts> {
    const { commands, l2, now } = this.#options;
    const { request, partition, askedAt, tags } = question;
    const names = l2.keysOf(partition);
    try {
      const side = await readStoredKey(commands(), { ...request, names, tags });
      const redis = { ...side, askedMs: now() - askedAt };
      const all = new Set([...tags, ...(side.stored?.tags ?? [])]);
      return { redis, redisError: '', ...(await this.#scan(question, all)) };
    } catch (error) {
      return { redis: undefined, redisError: messageOf(error), log: undefined, logError: '' };
    }
  }

  async #scan(
    { request, partition }: Question,
    tags: ReadonlySet<string>,
  ): Promise<Pick<RedisParts, 'log' | 'logError'>> {
    const { logEvents: most, namespace, key } = request;
    if (most === 0) return { log: undefined, logError: '' };
    if (this.#scans >= MOST_SCANS)
      return { log: undefined, logError: `${this.#scans} logs are being read already; ask again` };
    const { commands, l2, now } = this.#options;
    const endsAt = now() + SCAN_MS;
    this.#scans += 1;
    try {
      const { log } = l2.keysOf(partition);
      const goOn = () => now() < endsAt;
      return { log: await scanLog(commands, { log, namespace, key, tags, most, goOn }), logError: '' };
    } catch (error) {
      return { log: undefined, logError: messageOf(error) };
    } finally {
      this.#scans -= 1;
    }
  }
}

function rulesOf({ critical, eventDriven, ttlSeconds, l1TtlSeconds }: Namespace) {
  return { critical, eventDriven, ttlMs: ttlSeconds * 1000, l1TtlMs: l1TtlSeconds * 1000 };
}
