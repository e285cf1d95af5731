import { setTimeout as delay } from 'node:timers/promises';
import { newEventId } from '../api/event-id.ts';
import {
  type ChangeResponse,
  ChangeResponse_State,
  type Confirmation,
  EdgeCacheService,
  type GetRequest,
  type GetResponse,
  type StatsResponse,
} from '../proto/gen/edgecache/v1/edgecache.ts';
import { AgentPool } from './agent-pool.ts';
import { anyJson, type Codec } from './codec.ts';
import { AgentUnavailableError, EdgeCacheError, RedisUnavailableError } from './errors.ts';

export type { StatsResponse } from '../proto/gen/edgecache/v1/edgecache.ts';

export interface EdgeCacheClientOptions {
  /** Agents in order of preference, `host:port` or `unix:/path`: the own node's first. */
  readonly addresses: readonly string[];
  /** Milliseconds that making a connection may take. Default 100: packets to a node without agent are dropped. */
  readonly connectTimeoutMs?: number;
  /** Milliseconds that a lookup or change may take. Default 1000. */
  readonly deadlineMs?: number;
  /** Tries of a change that found no agent, each with the same event id. Default 3. */
  readonly changeTries?: number;
  /** Told of what happens, for metrics. */
  readonly on?: ClientHooks;
  /** Monotonic milliseconds. */
  readonly now?: () => number;
  readonly random?: () => number;
}

export interface ClientHooks {
  /** An agent answered a call, such as `Get` or `BatchGet`, in so many milliseconds. */
  readonly answered?: (method: string, ms: number) => void;
  /** A loader ran, and why. */
  readonly load?: (why: LoadReason, namespace: string) => void;
  /** A loaded value could not be put into the cache; the caller got it all the same. */
  readonly fillFailed?: (namespace: string, reason: 'revoked' | 'error', error?: EdgeCacheError) => void;
}

/** Why a loader ran; `unreadable`: what is cached is not of the codec's form. */
export type LoadReason = 'miss' | 'degraded' | 'unavailable' | 'waited' | 'unreadable';

/** What a lookup found. A miss, a known absence and "I cannot tell" are three things. */
export type Found<T> =
  | {
      readonly status: 'hit';
      readonly value: T;
      readonly version: string;
      readonly ttlMs: number;
      readonly source: 'l1' | 'l2';
      readonly stale: boolean;
      readonly node: string;
    }
  | { readonly status: 'absent'; readonly version: string; readonly ttlMs: number; readonly node: string }
  | { readonly status: 'miss'; readonly node: string }
  /** Not answered from a complete view: go to the source of truth, and do not cache. */
  | { readonly status: 'degraded'; readonly node: string };

export interface GetOptions<T> {
  readonly codec?: Codec<T>;
  /** From a change: answer with that change or a later one. */
  readonly token?: string;
  readonly deadlineMs?: number;
}

export interface LoadOptions<T> extends GetOptions<T> {
  readonly ttlMs?: number;
  readonly tags?: readonly string[] | ((value: T) => readonly string[]);
  /** Milliseconds to wait for another caller's load before loading as well. Default 2000. */
  readonly waitMs?: number;
}

export interface ConfirmOptions {
  /** Return only when no live agent can answer with what was there before; a number is a timeout in milliseconds. */
  readonly confirm?: boolean | number;
  readonly eventId?: string;
}

export interface EventInput {
  readonly type: string;
  readonly resourceId?: string;
  readonly data?: Readonly<Record<string, unknown>>;
  readonly namespaces?: readonly string[];
  readonly keys?: readonly string[];
  readonly tags?: readonly string[];
}

export interface PutOptions<T> extends ConfirmOptions {
  readonly codec?: Codec<T>;
  readonly ttlMs?: number;
  readonly tags?: readonly string[];
  /** Compare and set: the version that was read, or `'0'` for "only if absent". */
  readonly ifVersion?: string;
  /** What happened; only its type, resource and data: the put names the key itself. */
  readonly event?: Pick<EventInput, 'type' | 'resourceId' | 'data'>;
}

export interface InvalidateScope {
  /** With neither keys nor tags: the whole namespace. */
  readonly keys?: readonly string[];
  readonly tags?: readonly string[];
  readonly reason?: string;
}

/** What became of a change. */
export interface Changed {
  readonly state: 'applied' | 'duplicate' | 'queued';
  readonly eventId: string;
  /** Give it to lookups that must see this change. */
  readonly token: string;
  readonly version: string;
  readonly confirmation?: Confirmation;
}

const MAX_BATCH = 1024;
const WAIT_STEP_MS = 10;
const WAIT_STEP_MAX_MS = 100;
const RETRY_MIN_MS = 50;

/** Client of the cache. Values are JSON unless a codec says otherwise. */
export class EdgeCacheClient {
  readonly #pool: AgentPool;
  readonly #deadlineMs: number;
  readonly #changeTries: number;
  readonly #hooks: ClientHooks;
  readonly #now: () => number;
  readonly #random: () => number;
  /** Loads under way, by namespace and key: callers of one process share them. */
  readonly #loads = new Map<string, Promise<Buffer | undefined>>();

  constructor(options: EdgeCacheClientOptions) {
    const {
      addresses,
      connectTimeoutMs = 100,
      now = () => performance.now(),
      random = Math.random,
    } = options;
    this.#pool = new AgentPool({ addresses, connectTimeoutMs, now, random, answered: options.on?.answered });
    this.#deadlineMs = options.deadlineMs ?? 1_000;
    this.#changeTries = options.changeTries ?? 3;
    this.#hooks = options.on ?? {};
    this.#now = now;
    this.#random = random;
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
    const request = { namespace, key, minToken: options.token ?? '', wantLease: false };
    const { message, node } = await this.#ask(request, options.deadlineMs);
    return toFound(message, options.codec ?? anyJson, node);
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
    const minToken = options.token ?? '';
    const requests = keys.map((key) => ({ namespace, key, minToken, wantLease: false }));
    const batches = await this.#askMany(requests, options.deadlineMs);
    const codec = options.codec ?? anyJson;
    return batches.flatMap(({ message, node }) => message.items.map((item) => toFound(item, codec, node)));
  }

  /**
   * The cached value, or the loader's: one caller of the whole cluster loads, the others wait for its value.
   * Without a complete view (Redis or the agent out of reach) the loader answers and nothing is cached.
   * @param loader gives the truth; undefined says that there is no such thing, which is cached as well.
   * @throws what the loader throws; EdgeCacheError for requests that no agent would answer.
   */
  async getOrLoad<T>(
    namespace: string,
    key: string,
    loader: () => Promise<T | undefined>,
    options: LoadOptions<T> & { readonly codec: Codec<T> },
  ): Promise<T | undefined> {
    const name = loadName(namespace, key, options.token);
    return this.#decode(name, await this.#share(name, () => this.#load(namespace, key, loader, options)), {
      namespace,
      loader,
      codec: options.codec,
    });
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
    const requests = keys.map((key) => ({ namespace, key, minToken: token, wantLease: true }));
    const answers = await this.#askManyOrNothing(requests, options.deadlineMs);
    return Promise.all(
      requests.map(async (request, i) => {
        const answer = answers?.[i];
        const load = () => loader(request.key);
        const name = loadName(namespace, request.key, token);
        const bytes = answer?.found
          ? presentBytes(answer)
          : await this.#finishOne(name, request, answer, load, options);
        return this.#decode(name, bytes, { namespace, loader: load, codec });
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
    return this.#change((deadlineMs) => this.#pool.call(EdgeCacheService.put, request, deadlineMs), options);
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
    return this.#change(
      (deadlineMs) => this.#pool.call(EdgeCacheService.invalidate, request, deadlineMs),
      options,
    );
  }

  /** Tells what happened; namespaces that it names, or that list its type, are invalidated. @throws EdgeCacheError */
  async publish(event: EventInput, options: ConfirmOptions = {}): Promise<Changed> {
    const request = { event: toEvent(event, options.eventId ?? newEventId()), confirm: toConfirm(options) };
    return this.#change(
      (deadlineMs) => this.#pool.call(EdgeCacheService.publish, request, deadlineMs),
      options,
    );
  }

  /** Statistics of the agent that answers. @throws EdgeCacheError */
  async stats(): Promise<StatsResponse> {
    return (await this.#pool.call(EdgeCacheService.stats, {}, this.#deadlineMs)).message;
  }

  close(): void {
    this.#pool.close();
  }

  #ask(request: GetRequest, deadlineMs = this.#deadlineMs) {
    return this.#pool.call(EdgeCacheService.get, request, deadlineMs);
  }

  #askMany(requests: readonly GetRequest[], deadlineMs = this.#deadlineMs) {
    const batches: GetRequest[][] = [];
    for (let i = 0; i < requests.length; i += MAX_BATCH) batches.push(requests.slice(i, i + MAX_BATCH));
    return Promise.all(
      batches.map((items, id) => this.#pool.call(EdgeCacheService.batchGet, { id, items }, deadlineMs)),
    );
  }

  async #askManyOrNothing(
    requests: readonly GetRequest[],
    deadlineMs: number | undefined,
  ): Promise<GetResponse[] | undefined> {
    try {
      return (await this.#askMany(requests, deadlineMs)).flatMap(({ message }) => message.items);
    } catch (error) {
      if (mayBeLoaded(error)) return undefined;
      throw error;
    }
  }

  /**
   * One load of a name for all callers of this process.
   * @param load is run where none is under way.
   */
  #share(name: string, load: () => Promise<Buffer | undefined>): Promise<Buffer | undefined> {
    const running = this.#loads.get(name);
    if (running !== undefined) return running;
    const started = load().finally(() => {
      if (this.#loads.get(name) === started) this.#loads.delete(name);
    });
    this.#loads.set(name, started);
    return started;
  }

  /** Completes one of many lookups that was not found. Whoever got the lease loads, whatever else is under way. */
  #finishOne<T>(
    name: string,
    request: GetRequest,
    answer: GetResponse | undefined,
    loader: () => Promise<T | undefined>,
    options: LoadOptions<T> & { readonly codec: Codec<T> },
  ): Promise<Buffer | undefined> {
    if (answer !== undefined && answer.leaseToken !== '') {
      this.#loads.delete(name);
      return this.#share(name, () => this.#loadAndFill(request, answer.leaseToken, loader, options));
    }
    const { namespace, key } = request;
    const why = whyAlone(answer, false);
    return this.#share(name, () =>
      why === undefined
        ? this.#load(namespace, key, loader, options)
        : this.#loadOnly(why, namespace, loader, options.codec),
    );
  }

  /** Decoded for each caller: an object that one of them changes is nobody else's. */
  async #decode<T>(
    name: string,
    bytes: Buffer | undefined,
    { namespace, loader, codec }: Decoding<T>,
  ): Promise<T | undefined> {
    if (bytes === undefined) return undefined;
    try {
      return codec.decode(bytes);
    } catch (error) {
      if (!(error instanceof EdgeCacheError)) throw error;
      // Another release of the application wrote it: the source still answers.
      const loaded = await this.#share(`${name} unreadable`, () =>
        this.#loadOnly('unreadable', namespace, loader, codec),
      );
      return loaded === undefined ? undefined : codec.decode(loaded);
    }
  }

  /** Bytes of the value, or undefined for a known absence. */
  async #load<T>(
    namespace: string,
    key: string,
    loader: () => Promise<T | undefined>,
    options: LoadOptions<T> & { readonly codec: Codec<T> },
  ): Promise<Buffer | undefined> {
    const { token = '', deadlineMs, waitMs = 2_000 } = options;
    const request = { namespace, key, minToken: token, wantLease: true };
    const giveUpAt = this.#now() + waitMs;
    for (let step = WAIT_STEP_MS; ; step = Math.min(WAIT_STEP_MAX_MS, step * 2)) {
      const answer = await this.#askOrNothing(request, deadlineMs);
      if (answer?.found) return presentBytes(answer);
      if (answer !== undefined && answer.leaseToken !== '') {
        return this.#loadAndFill(request, answer.leaseToken, loader, options);
      }
      const why = whyAlone(answer, this.#now() >= giveUpAt);
      if (why !== undefined) return this.#loadOnly(why, namespace, loader, options.codec);
      await delay(Math.min(answer?.retryAfterMs || step, step) * (0.5 + this.#random()));
    }
  }

  /** Nothing where no agent answers in time; requests that no agent would answer throw. */
  async #askOrNothing(request: GetRequest, deadlineMs: number | undefined): Promise<GetResponse | undefined> {
    try {
      return (await this.#ask(request, deadlineMs)).message;
    } catch (error) {
      if (mayBeLoaded(error)) return undefined;
      throw error;
    }
  }

  async #loadOnly<T>(
    why: LoadReason,
    namespace: string,
    loader: () => Promise<T | undefined>,
    codec: Codec<T>,
  ): Promise<Buffer | undefined> {
    this.#hooks.load?.(why, namespace);
    const value = await loader();
    return value === undefined ? undefined : codec.encode(value);
  }

  async #loadAndFill<T>(
    { namespace, key }: GetRequest,
    leaseToken: string,
    loader: () => Promise<T | undefined>,
    { codec, ttlMs = 0, tags = [] }: LoadOptions<T> & { readonly codec: Codec<T> },
  ): Promise<Buffer | undefined> {
    this.#hooks.load?.('miss', namespace);
    const value = await loader();
    const bytes = value === undefined ? undefined : codec.encode(value);
    const labels = typeof tags === 'function' ? (value === undefined ? [] : tags(value)) : tags;
    const absent = bytes === undefined;
    const request = {
      namespace,
      key,
      value: bytes ?? Buffer.alloc(0),
      ttlMs,
      tags: [...labels],
      leaseToken,
      absent,
    };
    try {
      const { message } = await this.#pool.call(EdgeCacheService.fill, request, this.#deadlineMs);
      if (!message.accepted) this.#hooks.fillFailed?.(namespace, 'revoked');
    } catch (error) {
      // Whatever the cache has against the value, the caller asked for it and here it is.
      if (!(error instanceof EdgeCacheError)) throw error;
      this.#hooks.fillFailed?.(namespace, 'error', error);
    }
    return bytes;
  }

  /** Sends a change until an agent has it: the same event id has the effect of once. */
  async #change(
    send: (deadlineMs: number) => Promise<{ message: ChangeResponse }>,
    { confirm }: ConfirmOptions,
  ): Promise<Changed> {
    const deadlineMs =
      this.#deadlineMs + (confirm === undefined || confirm === false ? 0 : confirmMs(confirm));
    for (let attempt = 1; ; attempt++) {
      try {
        return toChanged((await send(deadlineMs)).message);
      } catch (error) {
        const passing = error instanceof AgentUnavailableError || error instanceof RedisUnavailableError;
        if (!passing || attempt >= this.#changeTries) throw error;
        await delay(RETRY_MIN_MS * 2 ** attempt * (0.5 + this.#random()));
      } finally {
        // Who asks after a change must not be given what a load that began before it will bring. A tag can be on any
        // key, so all are forgotten: sharing loads only saves work.
        this.#loads.clear();
      }
    }
  }
}

interface Decoding<T> {
  readonly namespace: string;
  readonly loader: () => Promise<T | undefined>;
  readonly codec: Codec<T>;
}

function loadName(namespace: string, key: string, token = ''): string {
  return `${namespace}:${key}:${token}`;
}

function presentBytes({ absent, value }: GetResponse): Buffer | undefined {
  return absent ? undefined : value;
}

/** Whether a failed lookup leaves the source to answer. Not so a caller's own mistake, which it must see. */
function mayBeLoaded(error: unknown): boolean {
  return error instanceof EdgeCacheError && (error.retryable || error.code === 'EC_CLIENT_REFUSED');
}

/** Why a loader has to answer without filling the cache, if it has. */
function whyAlone(answer: GetResponse | undefined, late: boolean) {
  if (answer === undefined) return 'unavailable';
  if (answer.degraded) return 'degraded';
  return late ? 'waited' : undefined;
}

const DEFAULT_CONFIRM_MS = 5_000;

function confirmMs(confirm: boolean | number): number {
  return typeof confirm === 'number' ? confirm : DEFAULT_CONFIRM_MS;
}

function toConfirm({ confirm = false }: ConfirmOptions) {
  return confirm === false ? undefined : { wait: true, timeoutMs: confirmMs(confirm) };
}

function toEvent(
  { type, resourceId = '', data, namespaces = [], keys = [], tags = [] }: EventInput,
  eventId: string,
) {
  return {
    eventId,
    eventType: type,
    resourceId,
    dataJson: data === undefined ? '' : JSON.stringify(data),
    timestamp: 0,
    sourceNode: '',
    affectedNamespaces: [...namespaces],
    keys: [...keys],
    tags: [...tags],
  };
}

function toFound<T>(answer: GetResponse, codec: Codec<T>, node: string): Found<T> {
  const { version, ttlMs, stale } = answer;
  if (answer.degraded) return { status: 'degraded', node };
  if (!answer.found) return { status: 'miss', node };
  if (answer.absent) return { status: 'absent', version, ttlMs, node };
  const source = answer.source === 1 ? 'l1' : 'l2';
  return { status: 'hit', value: codec.decode(answer.value), version, ttlMs, source, stale, node };
}

function toChanged({ state, eventId, token, version, confirmation }: ChangeResponse): Changed {
  const names = {
    [ChangeResponse_State.STATE_DUPLICATE]: 'duplicate',
    [ChangeResponse_State.STATE_QUEUED]: 'queued',
  } as const;
  const name = state === 2 || state === 3 ? names[state] : 'applied';
  return { state: name, eventId, token, version, ...(confirmation === undefined ? {} : { confirmation }) };
}
