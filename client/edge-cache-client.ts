import { newEventId } from '../api/event-id.ts';
import {
  EdgeCacheService,
  type ExplainResponse,
  type GetRequest,
  type StatsResponse,
} from '../proto/gen/edgecache/v1/edgecache.ts';
import { Access } from './access.ts';
import { AgentPool } from './agent-pool.ts';
import { ChangeSender } from './change-sender.ts';
import { anyJson, type Codec } from './codec.ts';
import { EdgeCacheError } from './errors.ts';
import { Loads, mayBeLoaded, presentBytes, type Wanted } from './loading/loads.ts';
import { orStale } from './loading/patience.ts';
import { BatchAsks } from './lookup/batch-asks.ts';
import { Lookups } from './lookup/lookups.ts';
import type { Asked } from './lookup/pending-lookup.ts';
import { nearFound, toConfirm, toEvent, toFound } from './messages.ts';
import { NearCache } from './near/near-cache.ts';
import type {
  Changed,
  ClientHooks,
  ConfirmOptions,
  EdgeCacheClientOptions,
  EventInput,
  ExplainOptions,
  Found,
  GetOptions,
  InvalidateScope,
  LoadOptions,
  NearStats,
  PutOptions,
} from './options.ts';

export type { ExplainResponse, StatsResponse } from '../proto/gen/edgecache/v1/edgecache.ts';
export type {
  Changed,
  ClientHooks,
  ConfirmOptions,
  EdgeCacheClientOptions,
  EventInput,
  ExplainOptions,
  Found,
  GetOptions,
  InvalidateScope,
  LoadOptions,
  LoadReason,
  LookupOptions,
  NearCacheOptions,
  NearNamespaceOptions,
  NearStats,
  PutOptions,
} from './options.ts';

const MAX_BATCH = 1024;
const LOOKUPS = { stream: true, maxBatch: 512, maxWaiting: 50_000 } as const;

/** Client of the cache. Values are JSON unless a codec says otherwise. */
export class EdgeCacheClient {
  readonly #pool: AgentPool;
  readonly #lookups: Lookups | undefined;
  readonly #near: NearCache | undefined;
  readonly #loads: Loads;
  readonly #deadlineMs: number;
  readonly #changes: ChangeSender;
  readonly #batches: BatchAsks;
  readonly #hooks: ClientHooks;

  constructor(options: EdgeCacheClientOptions) {
    const {
      addresses,
      connectTimeoutMs = 100,
      deadlineMs = 1_000,
      now = () => performance.now(),
      random = Math.random,
      on: hooks = {},
      trace,
    } = options;
    this.#deadlineMs = deadlineMs;
    this.#hooks = hooks;
    const access = new Access(options, now);
    const pool = new AgentPool({
      addresses,
      connectTimeoutMs,
      access,
      now,
      random,
      answered: hooks.answered,
      trace,
    });
    this.#pool = pool;
    const { stream, maxBatch, maxWaiting } = { ...LOOKUPS, ...options.lookups };
    if (stream) {
      const wantTags = options.near !== undefined;
      this.#lookups = new Lookups({
        pool,
        wantTags,
        now,
        maxBatch: Math.min(maxBatch, MAX_BATCH),
        maxWaiting,
        trace,
      });
    }
    if (options.near !== undefined) {
      const changed = () => this.#loads.forget();
      this.#near = new NearCache(options.near, { agent: () => pool.preferred(), now, random, changed });
    }
    const ask = (request: GetRequest, ms: number | undefined) => this.#ask(request, ms);
    this.#loads = new Loads({ pool, ask, near: this.#near, hooks, deadlineMs, now, random });
    this.#batches = new BatchAsks(pool, this.#lookups, deadlineMs);
    this.#changes = new ChangeSender({
      pool,
      deadlineMs,
      tries: options.changeTries ?? 3,
      random,
      made: (touched) => {
        // Who asks after a change must not be given what a load that began before it will bring. A tag can be on any
        // key, so all are forgotten: sharing loads only saves work.
        this.#loads.forget();
        this.#near?.forget(touched);
      },
    });
    this.#near?.start();
  }

  get(namespace: string, key: string): Promise<Found<unknown>>;
  get<T>(
    namespace: string,
    key: string,
    options: GetOptions<T> & { readonly codec: Codec<T> },
  ): Promise<Found<T>>;
  get(namespace: string, key: string, options: GetOptions<unknown>): Promise<Found<unknown>>;
  /** @throws EdgeCacheError */
  async get<T>(namespace: string, key: string, options: GetOptions<T> = {}): Promise<Found<unknown>> {
    const codec: Codec<unknown> = options.codec ?? anyJson;
    const near = this.#nearOf(namespace, options);
    const entry = near?.get(namespace, key);
    if (near !== undefined && entry !== undefined) return nearFound(near, entry, codec);
    const request = { namespace, key, minToken: options.token ?? '', wantLease: false };
    const ticket = near?.ticket();
    const { answer, node, agent } = await this.#ask(request, options.deadlineMs);
    if (ticket !== undefined) near?.offer(namespace, key, answer, agent, ticket);
    return toFound(answer, codec, node);
  }

  getMany(namespace: string, keys: readonly string[]): Promise<Found<unknown>[]>;
  getMany<T>(
    namespace: string,
    keys: readonly string[],
    options: GetOptions<T> & { readonly codec: Codec<T> },
  ): Promise<Found<T>[]>;
  /** Many lookups of one namespace, answered in the order asked. @throws EdgeCacheError */
  async getMany<T>(
    namespace: string,
    keys: readonly string[],
    options: GetOptions<T> = {},
  ): Promise<Found<unknown>[]> {
    const codec: Codec<unknown> = options.codec ?? anyJson;
    const near = this.#nearOf(namespace, options);
    const found: (Found<unknown> | undefined)[] = keys.map((key) => {
      const entry = near?.get(namespace, key);
      return near === undefined || entry === undefined ? undefined : nearFound(near, entry, codec);
    });
    const places = keys.flatMap((_, place) => (found[place] === undefined ? [place] : []));
    const minToken = options.token ?? '';
    const requests = places.map((place) => ({
      namespace,
      key: keys[place] ?? '',
      minToken,
      wantLease: false,
    }));
    const answers = await this.#batches.ask(requests, options.deadlineMs, near);
    places.forEach((place, i) => {
      const asked = answers[i];
      if (asked !== undefined) found[place] = toFound(asked.answer, codec, asked.node);
    });
    return found.filter((one) => one !== undefined);
  }

  /**
   * The cached value, or the loader's: one caller of the whole cluster loads, the others wait for its value.
   * Without a complete view (Redis or the agent out of reach) the loader answers and nothing is cached.
   * @param loader gives the truth; undefined says that there is no such thing, which is cached as well.
   * @throws what the loader throws; EdgeCacheError for requests that no agent would answer.
   */
  getOrLoad<T>(
    namespace: string,
    key: string,
    loader: () => Promise<T | undefined>,
    options: LoadOptions<T> & { readonly codec: Codec<T> },
  ): Promise<T | undefined>;
  getOrLoad(
    namespace: string,
    key: string,
    loader: () => Promise<unknown>,
    options?: LoadOptions<unknown>,
  ): Promise<unknown>;
  async getOrLoad<T>(
    namespace: string,
    key: string,
    loader: () => Promise<T | undefined>,
    options: LoadOptions<T> = {},
  ): Promise<unknown> {
    const near = this.#nearOf(namespace, options);
    const entry = near?.get(namespace, key);
    // Without a codec values are any JSON, and the caller is given them as such.
    const codec = options.codec ?? (anyJson as Codec<T>);
    if (near !== undefined && entry?.codec === codec && options.refreshAfter === undefined)
      return near.decode(entry, codec);
    const wanted: Wanted<T> = { namespace, key, loader, options: { ...options, codec } };
    if (near !== undefined && entry !== undefined) {
      if (options.refreshAfter !== undefined) this.#loads.refreshIfDue(wanted, near.leftOf(entry));
      return this.#decode(wanted, () => near.decode(entry, codec));
    }
    return this.#loadPatiently(wanted);
  }

  /**
   * {@link getOrLoad} for many keys of one namespace, in the order asked: one call for all that the cache has.
   * @param loader gives the truth of one key.
   */
  async getOrLoadMany<T>(
    namespace: string,
    keys: readonly string[],
    loader: (key: string) => Promise<T | undefined>,
    options: LoadOptions<T> & { readonly codec: Codec<T> },
  ): Promise<(T | undefined)[]> {
    const { token = '', codec } = options;
    const near = this.#nearOf(namespace, options);
    const entries = keys.map((key) => near?.get(namespace, key));
    const places = keys.flatMap((_, place) => (entries[place] === undefined ? [place] : []));
    const requests = places.map((place) => ({
      namespace,
      key: keys[place] ?? '',
      minToken: token,
      wantLease: true,
    }));
    const answers = await this.#askManyOrNothing(requests, options.deadlineMs, near);
    const answerAt = new Map(places.map((place, i) => [place, answers?.[i]?.answer]));
    return Promise.all(
      keys.map(async (key, place) => {
        const wanted: Wanted<T> = { namespace, key, loader: () => loader(key), options };
        const entry = entries[place];
        if (near !== undefined && entry !== undefined)
          return this.#decode(wanted, () => near.decode(entry, codec));
        const answer = answerAt.get(place);
        const bytes = answer?.found ? presentBytes(answer) : await this.#loads.finish(wanted, answer);
        return this.#decodeBytes(wanted, bytes);
      }),
    );
  }

  /** Writes a value and tells every agent. @throws VersionConflictError, EdgeCacheError */
  async put<T>(namespace: string, key: string, value: T, options: PutOptions<T> = {}): Promise<Changed> {
    const { codec, ttlMs = 0, tags = [], ifVersion = '', event } = options;
    const eventId = options.eventId ?? newEventId();
    const request = {
      namespace,
      key,
      value: codec === undefined ? anyJson.encode(value) : codec.encode(value),
      ttlMs,
      tags: [...tags],
      ifVersion,
      event: toEvent({ type: 'manual_invalidation', ...event }, eventId),
      confirm: toConfirm(options),
    };
    return this.#changes.send(EdgeCacheService.put, request, options, [{ namespace, keys: [key], tags: [] }]);
  }

  /** Invalidates keys, tags, or a whole namespace, on every agent. @throws EdgeCacheError */
  invalidate(namespace: string, scope: InvalidateScope, options: ConfirmOptions = {}): Promise<Changed> {
    const request = {
      namespace,
      keys: [...(scope.keys ?? [])],
      tags: [...(scope.tags ?? [])],
      reason: scope.reason ?? '',
      eventId: options.eventId ?? newEventId(),
      confirm: toConfirm(options),
    };
    const { keys, tags } = request;
    return this.#changes.send(EdgeCacheService.invalidate, request, options, [{ namespace, keys, tags }]);
  }

  /** Tells what happened; namespaces that it names, or that list its type, are invalidated. @throws EdgeCacheError */
  async publish(event: EventInput, options: ConfirmOptions = {}): Promise<Changed> {
    const request = { event: toEvent(event, options.eventId ?? newEventId()), confirm: toConfirm(options) };
    const { namespaces, keys = [], tags = [] } = event;
    // Which namespaces list the type is the agent's to know.
    const touched = namespaces?.map((namespace) => ({ namespace, keys, tags })) ?? 'all';
    return this.#changes.send(EdgeCacheService.publish, request, options, touched);
  }

  /**
   * Statistics of the agent that answers.
   * @param options.top how many of the hottest and of the largest keys to name, up to 100; default 0: none
   * @throws EdgeCacheError
   */
  async stats({ top = 0 }: { readonly top?: number } = {}): Promise<StatsResponse> {
    return (await this.#pool.call(EdgeCacheService.stats, { top }, this.#deadlineMs, true)).message;
  }

  /**
   * All that the agent that answers, and Redis as it sees it, can say of one key; never its value.
   * @throws EdgeCacheError
   */
  async explain(namespace: string, key: string, options: ExplainOptions = {}): Promise<ExplainResponse> {
    const { logEvents = 0, tags = [], wantAgents = false } = options;
    const request = { namespace, key, logEvents, tags: [...tags], wantAgents };
    return (await this.#pool.call(EdgeCacheService.explain, request, this.#deadlineMs, true)).message;
  }

  /** What the near cache did and holds; nothing where there is none. */
  get nearStats(): NearStats | undefined {
    return this.#near?.stats;
  }

  close(): void {
    this.#near?.close();
    this.#lookups?.close();
    this.#pool.close();
  }

  /** The near cache, where it may answer. */
  #nearOf(
    namespace: string,
    { token = '', near = true }: { readonly token?: string; readonly near?: boolean },
  ): NearCache | undefined {
    return near && token === '' && this.#near?.holds(namespace) === true ? this.#near : undefined;
  }

  async #ask(request: GetRequest, deadlineMs = this.#deadlineMs): Promise<Asked> {
    if (this.#lookups !== undefined) return this.#lookups.ask(request, deadlineMs);
    if (this.#near === undefined) {
      const { message: answer, node } = await this.#pool.call(EdgeCacheService.get, request, deadlineMs);
      return { answer, node, agent: '' };
    }
    // Get does not tell the tags, without which nothing may be held.
    const [asked] = await this.#batches.ask([request], deadlineMs, this.#near);
    if (asked === undefined) throw new Error('an answer is missing');
    return asked;
  }

  async #askManyOrNothing(
    requests: readonly GetRequest[],
    deadlineMs: number | undefined,
    near: NearCache | undefined,
  ): Promise<Asked[] | undefined> {
    try {
      return await this.#batches.ask(requests, deadlineMs, near);
    } catch (error) {
      if (mayBeLoaded(error)) return undefined;
      throw error;
    }
  }

  /** Loads; where that is slow or fails, a value that has ended may do, if the near cache keeps one. */
  async #loadPatiently<T>(wanted: Wanted<T>): Promise<T | undefined> {
    const { namespace, key, options } = wanted;
    const loaded = this.#loads.get(wanted).then((bytes) => this.#decodeBytes(wanted, bytes));
    const near = this.#nearOf(namespace, options);
    if (near === undefined) return loaded;
    return orStale(loaded, options.softDeadlineMs, (why) => {
      const entry = near.getExpired(namespace, key);
      if (entry === undefined) return undefined;
      this.#hooks.staleGiven?.(namespace, why);
      return { value: near.decode(entry, options.codec) };
    });
  }

  #decodeBytes<T>(wanted: Wanted<T>, bytes: Buffer | undefined): Promise<T | undefined> {
    if (bytes === undefined) return Promise.resolve(undefined);
    // Decoded for each caller: an object that one of them changes is nobody else's.
    return this.#decode(wanted, () => wanted.options.codec.decode(bytes));
  }

  async #decode<T>(wanted: Wanted<T>, decode: () => T | undefined): Promise<T | undefined> {
    try {
      return decode();
    } catch (error) {
      if (!(error instanceof EdgeCacheError)) throw error;
      // Another release of the application wrote it: the source still answers.
      const bytes = await this.#loads.unreadable(wanted);
      return bytes === undefined ? undefined : wanted.options.codec.decode(bytes);
    }
  }
}
