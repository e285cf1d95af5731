import { setTimeout as delay } from 'node:timers/promises';
import type { EdgeCacheClient } from '../edge-cache-client.ts';
import { Background } from './background.ts';
import type { MigrationHooks } from './hooks.ts';
import {
  MigratingCache,
  type MigratingCacheEnvironment,
  type MigratingCacheOptions,
} from './migrating-cache.ts';
import type { MigrationReport } from './report.ts';
import { checkSettings, DEFAULT_SETTINGS, type MigrationSettings } from './settings.ts';

export {
  type AnyCache,
  anyCache,
  type ExistingCache,
  type LruLike,
  lruCache,
  type RedisCacheOptions,
  type RedisLike,
  redisJson,
  redisStrings,
} from './existing-cache.ts';
export type { MigrationHooks } from './hooks.ts';
export type { Comparison, Verdict } from './judge.ts';
export type { ChangeOptions, MigratingCache, MigratingCacheOptions } from './migrating-cache.ts';
export { formatReport, type MigrationReport } from './report.ts';
export { type MigrationSettings, PHASES, type Phase } from './settings.ts';
export type { Judged, JudgedReport, NamespaceReport } from './tally.ts';

type Member = Pick<MigratingCache<unknown>, 'configure' | 'report' | 'drained'>;

export interface MigrationOptions extends Partial<MigrationSettings> {
  readonly client: EdgeCacheClient;
  /**
   * Milliseconds after which an answer that did not agree with the source is looked at again, before it is called stale.
   * Default 1000, which is the bound that Edge Cache itself promises for critical data: a change that is on its way is no stale answer.
   */
  readonly graceMs?: number;
  /** Milliseconds that one look at source or cache may take for a comparison. Default 1000. */
  readonly deadlineMs?: number;
  /** Milliseconds that a read waits for Edge Cache before it falls back. Default 250. */
  readonly edgeDeadlineMs?: number;
  /** Most comparisons under way; more are dropped, and counted. Default 200. */
  readonly maxComparisons?: number;
  /** Most looks at source or caches at the same time, for comparisons. Default 4. */
  readonly maxAtOnce?: number;
  /** Most keys and tags of one namespace that wait to be told to Edge Cache in phase `publish`. Default 10,000. */
  readonly maxWaitingChanges?: number;
  readonly on?: MigrationHooks;
  /** Monotonic milliseconds. */
  readonly now?: () => number;
  /** Milliseconds since 1970. */
  readonly wallClock?: () => number;
  readonly random?: () => number;
  readonly delay?: (ms: number) => Promise<void>;
}

/** Takes an application from the cache that it has to Edge Cache, in phases, each of which can be gone back from. */
export class Migration {
  readonly #caches = new Map<string, Member>();
  readonly #background: Background;
  readonly #environment: Omit<MigratingCacheEnvironment, 'settings'>;
  readonly #startedAt: number;
  #settings: MigrationSettings;

  /** @throws InvalidInputError */
  constructor(options: MigrationOptions) {
    const { phase, edgeShare, sampleShare } = { ...DEFAULT_SETTINGS, ...options };
    this.#settings = checkSettings({ phase, edgeShare, sampleShare });
    const { maxComparisons = 200, maxAtOnce = 4 } = options;
    this.#background = new Background({ most: maxComparisons, atOnce: maxAtOnce });
    this.#environment = {
      client: options.client,
      background: this.#background,
      hooks: options.on ?? {},
      graceMs: options.graceMs ?? 1_000,
      deadlineMs: options.deadlineMs ?? 1_000,
      edgeDeadlineMs: options.edgeDeadlineMs ?? 250,
      maxWaitingChanges: options.maxWaitingChanges ?? 10_000,
      delay: options.delay ?? ((ms) => delay(ms)),
      now: options.now ?? (() => performance.now()),
      wallClock: options.wallClock ?? Date.now,
      random: options.random ?? Math.random,
    };
    this.#startedAt = this.#environment.now();
  }

  /**
   * The cache of one namespace; it begins with the settings of the migration as they are now.
   * @throws RangeError if the namespace has one already
   */
  cache<T>(namespace: string, options: MigratingCacheOptions<T>): MigratingCache<T> {
    if (this.#caches.has(namespace)) throw new RangeError(`namespace '${namespace}' is migrated already`);
    const cache = new MigratingCache<T>(namespace, options, {
      ...this.#environment,
      settings: this.#settings,
    });
    this.#caches.set(namespace, cache);
    return cache;
  }

  /**
   * Goes on to other settings, or back, in every namespace; {@link MigratingCache.configure} does it in one.
   * @throws EdgeCacheError, InvalidInputError. Namespaces that could not go on are where they were
   */
  async configure(changes: Partial<MigrationSettings>): Promise<void> {
    const after = checkSettings({ ...this.#settings, ...changes });
    for (const cache of this.#caches.values()) await cache.configure(changes);
    this.#settings = after;
  }

  /** What was seen since the migration began in this process. */
  report(): MigrationReport {
    return {
      elapsedMs: this.#environment.now() - this.#startedAt,
      namespaces: [...this.#caches.values()].map((cache) => cache.report()),
    };
  }

  /** Resolves when all comparisons under way have ended, and no change waits to be sent. */
  async idle(): Promise<void> {
    await this.#background.idle();
    for (const cache of this.#caches.values()) await cache.drained();
  }

  /** Compares nothing more, and sends what waits. The client stays open; close it after this. */
  async close(): Promise<void> {
    this.#background.close();
    await this.idle();
  }
}
