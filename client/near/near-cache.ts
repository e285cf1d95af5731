import { randomUUID } from 'node:crypto';
import type { GetResponse } from '../../proto/gen/edgecache/v1/edgecache.ts';
import type { AgentLink } from '../agent-link.ts';
import type { Codec } from '../codec.ts';
import { Follower } from './follower.ts';
import { freezePlain } from './freeze.ts';
import {
  type NearCounters,
  type NearEntry,
  type NearInvalidation,
  type NearLimits,
  NearStore,
  type NearValue,
  type Ticket,
} from './near-store.ts';

/** What of one namespace the process may hold. */
export interface NearNamespaceOptions {
  /** Default 1000. */
  readonly maxEntries?: number;
  /** Bytes of keys, values (counted twice: as bytes and decoded) and tags. Default 16 MiB. */
  readonly maxBytes?: number;
  /** Longest that an entry is held, in milliseconds. Default 30,000. What is left of its life in the cache bounds it too. */
  readonly ttlMs?: number;
  /**
   * How long past its end an entry is kept for `getOrLoad` to fall back to while its loader is slow or fails, in
   * milliseconds. Default 0. What was invalidated is not kept.
   */
  readonly staleMs?: number;
}

export interface NearCacheOptions {
  /** Namespaces that are held in the process. Critical ones may be: leases are handed down to it. */
  readonly namespaces: Readonly<Record<string, NearNamespaceOptions>>;
  /** Milliseconds between two requests for a lease. Default 200. */
  readonly renewMs?: number;
  /** Longest lease to ask for, in milliseconds. Default 10,000; an agent gives no more than what is left of its own. */
  readonly leaseMs?: number;
}

export interface NearStats extends Readonly<NearCounters> {
  readonly entries: number;
  readonly bytes: number;
  /** What is left of the lease, in milliseconds; 0: nothing is answered from here. */
  readonly leaseMs: number;
  /** Why everything was dropped last; empty: it never was. */
  readonly lastReset: string;
}

export interface NearCacheEnvironment {
  readonly agent: () => AgentLink | undefined;
  readonly now: () => number;
  readonly random: () => number;
  /** Told of everything that changed, before anything can be answered after it. */
  readonly changed: (change: Omit<NearInvalidation, 'version'> | 'all') => void;
}

const DEFAULTS: NearLimits = { maxEntries: 1_000, maxBytes: 16 * 1024 ** 2, ttlMs: 30_000, staleMs: 0 };

/** The cache inside the application's process: answers while the lease that its agent handed down holds. */
export class NearCache {
  readonly #store: NearStore;
  readonly #follower: Follower;
  readonly #now: () => number;
  #lastReset = '';

  constructor({ namespaces, renewMs = 200, leaseMs = 10_000 }: NearCacheOptions, env: NearCacheEnvironment) {
    const limits = Object.entries(namespaces).map(([name, own]) => [name, { ...DEFAULTS, ...own }] as const);
    this.#store = new NearStore(Object.fromEntries(limits));
    this.#now = env.now;
    this.#follower = new Follower({
      ...env,
      namespaces: this.#store.namespaces,
      clientId: randomUUID(),
      leaseMs,
      renewMs,
      invalidated: (invalidation) => {
        this.#store.invalidate(invalidation);
        env.changed(invalidation);
      },
      reset: (reason) => {
        this.#lastReset = reason;
        this.#store.clear();
        env.changed('all');
      },
    });
  }

  get stats(): NearStats {
    const leaseMs = Math.max(0, this.#follower.freshUntil - this.#now());
    return { ...this.#store.counters, ...this.#store.size, leaseMs, lastReset: this.#lastReset };
  }

  start(): void {
    this.#follower.start();
  }

  wake(): void {
    this.#follower.wake();
  }

  close(): void {
    this.#follower.stop();
  }

  holds(namespace: string): boolean {
    return this.#store.holds(namespace);
  }

  /** Milliseconds that the entry has left to live in the cache. */
  leftOf(entry: NearEntry): number {
    return Math.max(0, Math.floor(entry.endsAt - this.#now()));
  }

  get(namespace: string, key: string): NearEntry | undefined {
    const now = this.#now();
    const { counters } = this.#store;
    const entry = now < this.#follower.freshUntil ? this.#store.get(namespace, key, now) : undefined;
    if (entry === undefined) counters.misses += 1;
    else counters.hits += 1;
    return entry;
  }

  /** An entry that has ended but was not invalidated, as far as the lease proves now. */
  getExpired(namespace: string, key: string): NearEntry | undefined {
    const now = this.#now();
    return now < this.#follower.freshUntil ? this.#store.getExpired(namespace, key, now) : undefined;
  }

  /** To be taken before a lookup or fill is sent. */
  ticket(): Ticket {
    return this.#store.ticket(this.#now());
  }

  /** Holds what an agent answered, if it is the one that is followed. */
  offer(namespace: string, key: string, answer: GetResponse, agent: string, ticket: Ticket): void {
    if (!answer.found || answer.stale || answer.degraded) return;
    const { value, absent, version, tags, ttlMs } = answer;
    this.keep(namespace, key, { bytes: absent ? undefined : value, version, tags, ttlMs }, agent, ticket);
  }

  keep(namespace: string, key: string, value: NearValue, agent: string, ticket: Ticket): void {
    const followed = agent !== '' && agent === this.#follower.agent;
    if (followed && this.#store.admit(namespace, key, value, ticket)) return;
    // Nobody who has seen this one may be given an older one.
    this.#store.invalidate({ namespace, keys: [key], tags: [], version: value.version || '' });
  }

  /** A change of this process' own: whoever asks next must not be given what was there before. */
  forget(changes: readonly Omit<NearInvalidation, 'version'>[] | 'all'): void {
    if (changes === 'all') this.#store.clear();
    else for (const change of changes) this.#store.invalidate({ ...change, version: '' });
  }

  /** The value of an entry: one for all callers where it can be frozen, else each caller's own. */
  decode<T>(entry: NearEntry, codec: Codec<T>): T | undefined {
    if (entry.bytes === undefined) return undefined;
    // What a codec has decoded is of its type.
    if (entry.codec === codec) return entry.value as T;
    const value = codec.decode(entry.bytes);
    const shareable = isPrimitive(value) || (codec.freezable === true && freezePlain(value));
    if (!shareable) return value;
    entry.codec = codec as Codec<unknown>;
    entry.value = value;
    return value;
  }
}

function isPrimitive(value: unknown): boolean {
  return (typeof value !== 'object' && typeof value !== 'function') || value === null;
}
