import type { Cluster, Redis } from 'ioredis';
import { fromRedis, RedisUnavailableError } from '../errors.ts';
import { Compression } from './compression.ts';
import type { Encryption } from './encryption-keys.ts';
import { type Entry, encodeTags, parseEntry, UnreadableEntryError } from './entry.ts';
import { PartitionKeys } from './keys.ts';
import { partitionOf } from './partition.ts';
import { ValueCodec } from './value-codec.ts';

/** Newest event of a partition's log. */
export interface Head {
  readonly version: string;
  readonly eventId: string;
}

export interface ClockedHead extends Head {
  readonly clockUs: number;
}

export interface ReadItem {
  readonly namespace: string;
  readonly key: string;
  /** Handed out on a miss if nobody holds the lease; empty: none wanted. */
  readonly leaseToken: string;
  /** An entry that has less than this left to live is leased too, so that it can be loaded anew before its end. */
  readonly refreshBelowMs?: number;
}

export interface ReadResult {
  /** Head of the partition's log at the moment of reading: the result shows every event up to it. */
  readonly head: string;
  readonly entry?: Entry;
  /** Milliseconds left to live. */
  readonly ttlMs: number;
  readonly leaseToken: string;
  readonly retryAfterMs: number;
  /** There is an entry, but not one that this agent can read: what it is nobody here can tell. */
  readonly unreadable: boolean;
  /** There is an entry, encrypted with a key that is not known, or altered: it counts as none. */
  readonly sealed: boolean;
}

export interface PutPart {
  readonly namespace: string;
  readonly key: string;
  readonly value: Buffer;
  readonly ttlMs: number;
  readonly tags: readonly string[];
  /** Compare and set; empty: unconditional. */
  readonly ifVersion: string;
  /** For a put that had to wait: overwrite nothing newer than this version, but invalidate it. Empty: do not look. */
  readonly base: string;
  /** Whether the value travels with the event. */
  readonly push: boolean;
  /** Size above which the value is compressed; 0: never. */
  readonly compressAboveBytes: number;
}

/** What one change does in one partition. */
export interface ChangePart {
  readonly partition: number;
  readonly eventId: string;
  /** The event's JSON without its first brace; the script puts version and links before it. */
  readonly body: string;
  readonly put?: PutPart;
  readonly keys: readonly { readonly namespace: string; readonly key: string }[];
  readonly tagMarkers: readonly { readonly namespace: string; readonly tag: string }[];
  readonly namespaceMarkers: readonly string[];
  readonly minReplicas: number;
  /** Whether the answer shall say which agents may hold what this changes. */
  readonly confirm: boolean;
}

export interface ChangeOutcome {
  readonly outcome: 'applied' | 'duplicate' | 'conflict' | 'superseded';
  readonly version: string;
  /** With `confirm`: agents registered with the partition → renewals counted and max staleness in ms. */
  readonly agents: ReadonlyMap<string, AgentRegistration>;
  /** With `confirm`: how long the partition's log has existed; a young one may not know all agents yet. */
  readonly logAgeMs: number;
}

export interface AgentRegistration {
  readonly renewals: number;
  readonly maxStalenessMs: number;
}

export interface FillRequest {
  readonly namespace: string;
  readonly key: string;
  readonly value: Buffer;
  readonly ttlMs: number;
  readonly tags: readonly string[];
  readonly absent: boolean;
  readonly leaseToken: string;
  /** Size above which the value is compressed; 0: never. */
  readonly compressAboveBytes: number;
}

export interface L2Options {
  readonly cacheId: string;
  readonly partitions: number;
  readonly fillLeaseMs: number;
  /** Events kept in each partition's log, roughly. */
  readonly logLength: number;
  readonly logAgeMs: number;
  /** How long an event id is remembered. */
  readonly dedupMs: number;
  readonly replicaTimeoutMs: number;
  /** Bytes that a namespace's entries may take in Redis, all partitions together; 0: as many as there are. */
  readonly limitOf?: (namespace: string) => number;
  /** Left out: nothing is encrypted, and what is cannot be read. */
  readonly encryption?: Encryption;
}

/** What the entries of a namespace take in Redis. */
export interface NamespaceUsage {
  readonly bytes: number;
  readonly entries: number;
  /** Entries evicted since the cache began. */
  readonly evictions: number;
}

export const L2_DEFAULTS = {
  logLength: 10_000,
  logAgeMs: 3_600_000,
  dedupMs: 900_000,
  replicaTimeoutMs: 1_000,
} as const;

/** Expired members that one script may take off an account, so that none holds Redis up, and scripts for one look. */
const USAGE_SWEEP = 500;
const USAGE_ROUNDS = 20;

/** Longer than any entry lives. */
const FOREVER_MS = 2 ** 40;

type Arg = string | Buffer | number;

/** The shared cache in Redis: each method is one atomic script of one partition. */
export class L2 {
  readonly options: L2Options;
  readonly compression = new Compression();
  /** Entries that could not be read, since the start. */
  unreadable = 0;
  readonly #next: () => Redis | Cluster;
  readonly #keys: readonly PartitionKeys[];
  readonly #codec: ValueCodec;
  #renewals = 0;

  /** @param next gives the connection for the next command. */
  constructor(next: () => Redis | Cluster, options: L2Options) {
    this.options = options;
    this.#next = next;
    this.#codec = new ValueCodec(this.compression, options.encryption);
    this.#keys = Array.from({ length: options.partitions }, (_, p) => new PartitionKeys(options.cacheId, p));
  }

  partitionOf(namespace: string, key: string): number {
    return partitionOf(namespace, key, this.options.partitions);
  }

  keysOf(partition: number): PartitionKeys {
    const keys = this.#keys[partition];
    if (keys === undefined) throw new RangeError(`partition ${partition} of ${this.#keys.length}`);
    return keys;
  }

  /** @throws RedisUnavailableError, RedisRefusedError */
  async read(partition: number, items: readonly ReadItem[]): Promise<ReadResult[]> {
    const results = await this.#readOnce(partition, items);
    const leased = items.filter((_, i) => wantsLease(items[i], results[i]));
    if (leased.length === 0) return results;
    // An entry that cannot be opened keeps the script from giving a lease to load; as one about to end it is leased.
    const again = await this.#readOnce(
      partition,
      leased.map((item) => ({ ...item, refreshBelowMs: FOREVER_MS })),
    );
    return results.map((result, i) => {
      if (!wantsLease(items[i], result)) return result;
      const second = again.shift() ?? result;
      const isHeldByOther = second.sealed && second.leaseToken === '';
      return isHeldByOther ? { ...second, retryAfterMs: this.options.fillLeaseMs } : second;
    });
  }

  async #readOnce(partition: number, items: readonly ReadItem[]): Promise<ReadResult[]> {
    const names = this.keysOf(partition);
    const keys: Arg[] = [names.meta];
    const args: Arg[] = [this.options.fillLeaseMs];
    for (const { namespace, key, leaseToken, refreshBelowMs = 0 } of items) {
      keys.push(names.entry(namespace, key), names.lease(namespace, key), names.namespaceMarker(namespace));
      args.push(names.tagMarkerPrefix(namespace), leaseToken, refreshBelowMs);
    }
    const reply = await guard(this.#next().ecGetBuffer(keys.length, ...keys, ...args));
    if (!Array.isArray(reply)) throw unexpected('get', reply);
    const head = text(reply[0]);
    return items.map((item, index) => this.#toReadResult(head, reply[index + 2], item));
  }

  /** @throws RedisUnavailableError: the change may or may not have been made; the same event id may be sent again. */
  async change(part: ChangePart): Promise<ChangeOutcome> {
    const { keys, args } = this.#changeArguments(part);
    const client = this.#next();
    const reply =
      part.minReplicas === 0
        ? await guard(client.ecChange(keys.length, ...keys, ...args))
        : await this.#changeAndWait(client, part.minReplicas, keys, args);
    if (!Array.isArray(reply)) throw unexpected('change', reply);
    const outcome = text(reply[0]);
    if (
      outcome !== 'applied' &&
      outcome !== 'duplicate' &&
      outcome !== 'conflict' &&
      outcome !== 'superseded'
    ) {
      throw unexpected('change', reply);
    }
    return { outcome, version: text(reply[1]), logAgeMs: Number(reply[2]), agents: toAgents(reply[3]) };
  }

  /** Version of the filled entry, or nothing where the lease had been revoked. */
  async fill(request: FillRequest): Promise<string | undefined> {
    const { namespace, key, tags } = request;
    const names = this.keysOf(this.partitionOf(namespace, key));
    const prefix = names.tagMarkerPrefix(namespace);
    const keys: Arg[] = [
      names.meta,
      names.entry(namespace, key),
      names.lease(namespace, key),
      names.namespaceMarker(namespace),
      ...tags.map((tag) => prefix + tag),
    ];
    const encoded = encodeTags(tags);
    const { flags, bytes } = this.#codec.encode({ ...request, tags: encoded });
    const args: Arg[] = [request.leaseToken, request.ttlMs, flags, encoded, bytes];
    args.push(this.#share(namespace));
    const reply = await guard(this.#next().ecFill(keys.length, ...keys, ...args));
    return typeof reply === 'string' ? reply : undefined;
  }

  /** Gives a fill's lease back. False where it was over, revoked, or somebody else's. */
  async release(namespace: string, key: string, leaseToken: string): Promise<boolean> {
    const names = this.keysOf(this.partitionOf(namespace, key));
    return (await guard(this.#next().ecRelease(1, names.lease(namespace, key), leaseToken))) === 1;
  }

  /** Head of a partition's log and Redis' clock in microseconds. Makes the partition where it is not there. */
  head(partition: number): Promise<ClockedHead> {
    return this.#head(partition, ['', 0, 0]);
  }

  /** Tells the partition that this agent may hold its entries, then reads the head. */
  registerAndReadHead(partition: number, agentId: string, maxStalenessMs: number): Promise<ClockedHead> {
    this.#renewals += 1;
    return this.#head(partition, [agentId, this.#renewals, maxStalenessMs]);
  }

  async #head(partition: number, args: readonly Arg[]): Promise<ClockedHead> {
    const names = this.keysOf(partition);
    const reply = await guard(this.#next().ecHead(2, names.meta, names.agents, ...args));
    if (!Array.isArray(reply)) throw unexpected('head', reply);
    return { version: text(reply[0]), eventId: text(reply[1]), clockUs: Number(text(reply[2])) };
  }

  /** Strikes an agent off a partition's list, unless it has renewed its registration since. */
  async forgetAgent(partition: number, agentId: string, renewals: number): Promise<void> {
    await guard(this.#next().ecForget(1, this.keysOf(partition).agents, agentId, renewals));
  }

  /** Strikes this agent off: it answers nothing any more. */
  async unregister(partition: number, agentId: string): Promise<void> {
    await guard(this.#next().hdel(this.keysOf(partition).agents, agentId));
  }

  /** Tells the sender of a change that this agent has applied it. */
  async acknowledge(partition: number, to: string, text: string): Promise<void> {
    await guard(this.#next().spublish(this.keysOf(partition).acknowledgements(to), text));
  }

  /** Version that an event was given in a partition, if it has been logged there. */
  async versionOfEvent(partition: number, eventId: string): Promise<string | undefined> {
    return (await guard(this.#next().get(this.keysOf(partition).eventId(eventId)))) ?? undefined;
  }

  /** What each namespace takes in a partition. Expired entries are taken off the account first, so many at a time. */
  async usage(partition: number): Promise<Map<string, NamespaceUsage>> {
    const { meta, accounts } = this.keysOf(partition);
    for (let round = 0; ; round++) {
      const reply = await guard(this.#next().ecUsage(2, meta, accounts, USAGE_SWEEP));
      if (!Array.isArray(reply)) throw unexpected('usage', reply);
      if (reply[0] === 1 && round < USAGE_ROUNDS) continue;
      return toUsage(reply);
    }
  }

  /** JSON of the events after a version, oldest first. */
  async readLog(partition: number, after: string, count: number): Promise<string[]> {
    const entries = await guard(
      this.#next().xrange(this.keysOf(partition).log, `(${after}`, '+', 'COUNT', count),
    );
    return entries.map(([, fields]) => fields[1] ?? '');
  }

  #toReadResult(head: string, reply: unknown, { namespace, key }: ReadItem): ReadResult {
    if (!Array.isArray(reply)) throw unexpected('get', reply);
    const [first, second, third] = reply;
    const result = { head, ttlMs: 0, leaseToken: '', retryAfterMs: 0, unreadable: false, sealed: false };
    if (!Buffer.isBuffer(first)) return { ...result, leaseToken: text(second), retryAfterMs: Number(third) };
    try {
      const entry = parseEntry(first, (bytes, flags, tags) =>
        this.#codec.decode(namespace, key, { flags, bytes }, tags),
      );
      if (entry === undefined) return { ...result, sealed: true, leaseToken: text(third) };
      return { ...result, entry, ttlMs: Math.max(0, Number(second)), leaseToken: text(third) };
    } catch (error) {
      if (!(error instanceof UnreadableEntryError)) throw error;
      this.unreadable += 1;
      return { ...result, unreadable: true };
    }
  }

  /** A partition's part of a namespace's limit; at least a byte, as 0 is no limit. */
  #share(namespace: string): number {
    const limit = this.options.limitOf?.(namespace) ?? 0;
    return limit === 0 ? 0 : Math.max(1, Math.floor(limit / this.options.partitions));
  }

  #changeArguments(part: ChangePart): { keys: Arg[]; args: Arg[] } {
    const names = this.keysOf(part.partition);
    const { put } = part;
    const keys: Arg[] = [
      names.meta,
      names.log,
      names.eventId(part.eventId),
      names.namespaceMarker(put?.namespace ?? ''),
      names.agents,
    ];
    if (put !== undefined)
      keys.push(names.entry(put.namespace, put.key), names.lease(put.namespace, put.key));
    for (const { namespace, key } of part.keys)
      keys.push(names.entry(namespace, key), names.lease(namespace, key));
    for (const { namespace, tag } of part.tagMarkers) keys.push(names.tagMarkerPrefix(namespace) + tag);
    for (const namespace of part.namespaceMarkers) keys.push(names.namespaceMarker(namespace));
    const { logLength, dedupMs, logAgeMs } = this.options;
    const markers = part.tagMarkers.length + part.namespaceMarkers.length;
    const args: Arg[] = [part.eventId, part.body, names.channel, logLength, dedupMs];
    args.push(put === undefined ? 0 : 1, part.keys.length, markers, logAgeMs, part.confirm ? 1 : 0);
    if (put !== undefined) {
      const tags = encodeTags(put.tags);
      const { flags, bytes } = this.#codec.encode({ ...put, absent: false, tags });
      args.push(put.ifVersion, put.base, put.ttlMs, flags, tags, bytes);
      args.push(
        names.tagMarkerPrefix(put.namespace),
        put.push ? pushedJson(put) : '',
        this.#share(put.namespace),
      );
    }
    return { keys, args };
  }

  /** Both in one pipeline, because WAIT counts for the connection that wrote. */
  async #changeAndWait(
    client: Redis | Cluster,
    replicas: number,
    keys: Arg[],
    args: Arg[],
  ): Promise<unknown> {
    const pipeline = client.pipeline();
    pipeline.ecChange(keys.length, ...keys, ...args);
    pipeline.wait(replicas, this.options.replicaTimeoutMs);
    const replies = await guard(pipeline.exec());
    const [changed, waited] = replies ?? [];
    if (changed === undefined || waited === undefined) throw unexpected('change', replies);
    if (changed[0] !== null) throw fromRedis(changed[0]);
    // Whatever WAIT says no to, such as a master that has just become a replica: the change is not known to be safe.
    if (waited[0] !== null) throw new RedisUnavailableError(waited[0]);
    if (Number(waited[1]) < replicas) {
      throw new RedisUnavailableError(
        new Error(`${Number(waited[1])} of ${replicas} replicas acknowledged the change`),
      );
    }
    return changed[1];
  }
}

function wantsLease(item: ReadItem | undefined, result: ReadResult | undefined): boolean {
  return result?.sealed === true && result.leaseToken === '' && item !== undefined && item.leaseToken !== '';
}

/** What a message says of a put beyond what the log keeps, closing brace included. */
function pushedJson({ ttlMs, tags, value }: PutPart): string {
  return `,"put":${JSON.stringify({ ttl_ms: ttlMs, tags, value: value.toString('base64') })}}`;
}

async function guard<T>(reply: Promise<T>): Promise<T> {
  try {
    return await reply;
  } catch (error) {
    throw fromRedis(error);
  }
}

/** RESP3 may give a hash as pairs or as one flat list. */
function toAgents(reply: unknown): Map<string, AgentRegistration> {
  const agents = new Map<string, AgentRegistration>();
  if (!Array.isArray(reply)) return agents;
  const flat = reply.flat();
  for (let i = 0; i + 1 < flat.length; i += 2) {
    const [renewals, maxStalenessMs] = text(flat[i + 1])
      .split(':')
      .map(Number);
    if (renewals !== undefined && maxStalenessMs !== undefined)
      agents.set(text(flat[i]), { renewals, maxStalenessMs });
  }
  return agents;
}

function text(reply: unknown): string {
  if (typeof reply === 'string') return reply;
  if (Buffer.isBuffer(reply)) return reply.toString();
  throw unexpected('script', reply);
}

function toUsage(reply: readonly unknown[]): Map<string, NamespaceUsage> {
  const usage = new Map<string, NamespaceUsage>();
  for (let i = 1; i + 3 < reply.length; i += 4) {
    const [bytes, entries, evictions] = reply.slice(i + 1, i + 4).map(Number);
    if (bytes !== undefined && entries !== undefined && evictions !== undefined)
      usage.set(text(reply[i]), { bytes, entries, evictions });
  }
  return usage;
}

function unexpected(script: string, reply: unknown): RedisUnavailableError {
  return new RedisUnavailableError(
    new Error(`the ${script} script answered ${JSON.stringify(reply)?.slice(0, 200)}`),
  );
}
