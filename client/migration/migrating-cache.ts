import type { ConfirmOptions, EdgeCacheClient, LoadOptions } from '../edge-cache-client.ts';
import type { Background } from './background.ts';
import { Changes, type Scope } from './changes.ts';
import { EdgeReader } from './edge-reader.ts';
import type { ExistingCache } from './existing-cache.ts';
import { type MigrationHooks, tell } from './hooks.ts';
import { type Answer, type Comparison, Judge } from './judge.ts';
import { Observer } from './observer.ts';
import { checkSettings, isInShare, type MigrationSettings, readsEdge } from './settings.ts';
import { messageOf, type NamespaceReport } from './tally.ts';

export interface MigratingCacheOptions<T> extends Comparison<T> {
  readonly existing: ExistingCache<T>;
  /** The truth, as the database has it; undefined says that there is no such thing. */
  readonly load: (key: string) => Promise<T | undefined>;
  /** How Edge Cache keeps what was loaded: codec, tags, ttlMs and the like. */
  readonly edge?: LoadOptions<T>;
}

/** What all namespaces of a migration share. */
export interface MigratingCacheEnvironment {
  readonly client: EdgeCacheClient;
  readonly settings: MigrationSettings;
  readonly background: Background;
  readonly hooks: MigrationHooks;
  readonly graceMs: number;
  /** Of one look at the source or at a cache, for a comparison. */
  readonly deadlineMs: number;
  /** Of a lookup in Edge Cache that a reader waits for. */
  readonly edgeDeadlineMs: number;
  readonly maxWaitingChanges: number;
  readonly delay: (ms: number) => Promise<void>;
  readonly now: () => number;
  readonly wallClock: () => number;
  readonly random: () => number;
}

/** What besides the key has changed, and whether to wait until no agent can answer with what was there before. */
export interface ChangeOptions extends ConfirmOptions {
  /** Labels whose entries in Edge Cache have changed as well. */
  readonly tags?: readonly string[];
}

/** One namespace on its way from an existing cache to Edge Cache. */
export class MigratingCache<T> {
  readonly namespace: string;
  readonly #options: MigratingCacheOptions<T>;
  readonly #hooks: MigrationHooks;
  readonly #edge: EdgeReader<T>;
  readonly #edgeDeadlineMs: number;
  readonly #observer: Observer<T>;
  readonly #changes: Changes;
  readonly #reads = { existingHits: 0, existingMisses: 0, edge: 0, fallbacks: 0, lastFallback: '' };
  #settings: MigrationSettings;
  #existingErrors = 0;
  #configuring: Promise<void> = Promise.resolve();

  constructor(namespace: string, options: MigratingCacheOptions<T>, environment: MigratingCacheEnvironment) {
    const { client, settings, hooks, edgeDeadlineMs, maxWaitingChanges: most } = environment;
    const { existing, load } = options;
    this.namespace = namespace;
    this.#options = options;
    this.#settings = settings;
    this.#hooks = hooks;
    this.#edgeDeadlineMs = edgeDeadlineMs;
    const loadOptions = { deadlineMs: edgeDeadlineMs, ...options.edge };
    const edge = new EdgeReader<T>({ client, namespace, load, edge: loadOptions });
    this.#edge = edge;
    const judge = new Judge<T>({ ...environment, ...options, source: load });
    this.#observer = new Observer<T>({ ...environment, namespace, existing, edge, judge });
    this.#changes = new Changes({ client, namespace, most, hooks });
    // Nobody told Edge Cache of changes before, or nobody can say who did.
    if (settings.phase === 'publish') this.#changes.forgetAllLater();
  }

  get settings(): MigrationSettings {
    return this.#settings;
  }

  /**
   * What the cache has that the phase chooses. Edge Cache loads what it has not; with the existing cache that is the
   * caller's to do, as it is today: see {@link getOrLoad}.
   * @throws what the existing cache throws; in phase `alone` what `load` throws
   */
  get(key: string): Promise<T | undefined> {
    return this.#get(key, () => this.#getExisting(key));
  }

  /** The cached value, or the loaded one, which is then cached. @throws what `load` throws */
  getOrLoad(key: string): Promise<T | undefined> {
    return this.#get(key, () => this.#getOrLoadExisting(key));
  }

  /**
   * Puts what was loaded into the existing cache. Edge Cache takes nothing from it: what was loaded without a lease may
   * be older than a change that it has been told of.
   * @throws what the existing cache throws
   */
  async fill(key: string, value: T, ttlMs?: number): Promise<void> {
    if (this.#settings.phase !== 'alone') await this.#options.existing.set(key, value, ttlMs);
  }

  /**
   * To be called when the source has changed, where the existing cache is left to its TTL as it is today: takes the key
   * out of Edge Cache.
   * @throws as {@link delete}, of Edge Cache
   */
  changed(key: string, options: ChangeOptions = {}): Promise<void> {
    return this.#change(key, options, undefined);
  }

  /**
   * To be called when the source has a new value: puts it into the existing cache, and takes the old one out of Edge
   * Cache, whose next reader loads it.
   * @throws as {@link delete}
   */
  write(key: string, value: T, options: ChangeOptions = {}): Promise<void> {
    return this.#change(key, options, () => this.#options.existing.set(key, value));
  }

  /**
   * To be called when the source has changed: takes the key out of both caches.
   * @throws what the existing cache throws. From phase `read` on EdgeCacheError too, if Edge Cache could not be told:
   * then it may answer with the old value until its TTL, so try again
   */
  delete(key: string, options: ChangeOptions = {}): Promise<void> {
    return this.#change(key, options, () => this.#options.existing.delete(key));
  }

  /**
   * Goes on to other settings, or back. Before the first read through Edge Cache everything that it holds of the
   * namespace is taken out of it, because earlier changes may not have reached it; if that cannot be confirmed, nothing
   * changes.
   * @throws EdgeCacheError, InvalidInputError
   */
  configure(changes: Partial<MigrationSettings>): Promise<void> {
    // One after the other: each begins where the last has ended.
    const configured = this.#configuring.catch(() => undefined).then(() => this.#configure(changes));
    this.#configuring = configured;
    return configured;
  }

  report(): NamespaceReport {
    const { existing, edge } = this.#observer.tallies;
    return {
      namespace: this.namespace,
      ...this.#settings,
      reads: { ...this.#reads },
      existing: existing.report(),
      edge: edge.report(),
      changes: this.#changes.report,
      existingErrors: this.#existingErrors,
    };
  }

  /** Resolves when no change waits to be sent. */
  drained(): Promise<void> {
    return this.#changes.drained();
  }

  async #configure(changes: Partial<MigrationSettings>): Promise<void> {
    const before = this.#settings;
    const after = checkSettings({ ...before, ...changes });
    if (readsEdge(after) && !readsEdge(before)) {
      // From now on changes are told for certain, though nobody reads yet: what is forgotten stays forgotten.
      this.#settings = { ...after, phase: 'read', edgeShare: 0 };
      try {
        await this.#changes.forgetAll();
      } catch (error) {
        this.#settings = before;
        throw error;
      }
    } else if (before.phase === 'observe' && after.phase !== 'observe') {
      this.#changes.forgetAllLater();
    }
    this.#settings = after;
    if (after.phase !== before.phase) this.#observer.beginPhase();
  }

  async #get(key: string, fromExisting: () => Promise<T | undefined>): Promise<T | undefined> {
    const { phase, edgeShare } = this.#settings;
    if (phase === 'alone') return this.#answered(key, await this.#edge.getOrLoad(key));
    if (phase !== 'read' || !isInShare(key, edgeShare)) return fromExisting();
    const answer = await this.#askEdge(key);
    return answer === undefined ? fromExisting() : this.#answered(key, answer.value);
  }

  #answered(key: string, value: T | undefined): T | undefined {
    this.#reads.edge += 1;
    this.#observer.observe(key, 'edge', value, this.#settings);
    return value;
  }

  /** What Edge Cache has, or loads; nothing where it has no complete view, or failed. */
  async #askEdge(key: string): Promise<Answer<T>> {
    try {
      const answer = await this.#edge.look(key, { deadlineMs: this.#edgeDeadlineMs });
      if (answer === 'miss') return { value: await this.#edge.getOrLoad(key) };
      if (answer !== 'degraded') return answer;
      this.#fellBack(undefined);
    } catch (error) {
      // Whatever it was: the existing cache is there to be asked.
      this.#fellBack(error);
    }
    return undefined;
  }

  #fellBack(error: unknown): void {
    this.#reads.fallbacks += 1;
    this.#reads.lastFallback = error === undefined ? 'degraded: it had no complete view' : messageOf(error);
    tell(() => this.#hooks.fellBack?.(this.namespace, error));
  }

  async #getExisting(key: string): Promise<T | undefined> {
    const value = await this.#options.existing.get(key);
    if (value === undefined) {
      this.#reads.existingMisses += 1;
      return undefined;
    }
    this.#reads.existingHits += 1;
    this.#observer.observe(key, 'existing', value, this.#settings);
    return value;
  }

  async #getOrLoadExisting(key: string): Promise<T | undefined> {
    const { existing, load } = this.#options;
    const value = await this.#unheard(() => this.#getExisting(key));
    if (value !== undefined) return value;
    const loaded = await load(key);
    if (loaded !== undefined) await this.#unheard(() => existing.set(key, loaded));
    return loaded;
  }

  async #change(key: string, options: ChangeOptions, inExisting: (() => unknown) | undefined): Promise<void> {
    const scope: Scope = { keys: [key], tags: options.tags ?? [] };
    switch (this.#settings.phase) {
      case 'observe':
        await inExisting?.();
        return;
      case 'publish':
        this.#changes.sendLater(scope);
        await inExisting?.();
        return;
      case 'read':
        await both(async () => inExisting?.(), this.#changes.send(scope, options));
        return;
      case 'alone':
        // So that it has nothing old to say if it should be gone back to.
        if (inExisting !== undefined) void this.#unheard(() => this.#options.existing.delete(key));
        await this.#changes.send(scope, options);
    }
  }

  /** What the existing cache does where its failure is nobody's, but is counted. */
  async #unheard<R>(work: () => R | Promise<R>): Promise<R | undefined> {
    try {
      return await work();
    } catch {
      this.#existingErrors += 1;
      return undefined;
    }
  }
}

/** Neither keeps the other from being done. @throws what the first of them throws that fails */
async function both(work: () => Promise<unknown>, other: Promise<unknown>): Promise<void> {
  const results = await Promise.allSettled([work(), other]);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}
