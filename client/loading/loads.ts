import {
  EdgeCacheService,
  type FillRequest,
  type GetRequest,
  type GetResponse,
} from '../../proto/gen/edgecache/v1/edgecache.ts';
import type { AgentPool } from '../agent-pool.ts';
import type { Codec } from '../codec.ts';
import { type ClientErrorCode, EdgeCacheError } from '../errors.ts';
import type { Asked } from '../lookup/pending-lookup.ts';
import type { NearCache } from '../near/near-cache.ts';
import type { ClientHooks, LoadOptions, LoadReason } from '../options.ts';
import { pauses, within } from './patience.ts';

/** A load's options, with the codec that its caller must give. */
export type CodedLoadOptions<T> = LoadOptions<T> & { readonly codec: Codec<T> };

/** What is to be loaded, and how. */
export interface Wanted<T> {
  readonly namespace: string;
  readonly key: string;
  readonly loader: () => Promise<T | undefined>;
  readonly options: CodedLoadOptions<T>;
}

/** A value's bytes; undefined: known to be absent. */
type Loaded = Buffer | undefined;

interface Flight {
  readonly loaded: Promise<Loaded>;
  /** Whether agent or source may have been asked already. */
  sent: boolean;
}

export interface LoadsOptions {
  readonly pool: AgentPool;
  readonly ask: (request: GetRequest, deadlineMs: number | undefined) => Promise<Asked>;
  readonly near: NearCache | undefined;
  readonly hooks: ClientHooks;
  readonly deadlineMs: number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly random: () => number;
}

const DEFAULT_WAIT_MS = 2_000;

/** Gets values from the cache or, under a lease, from loaders; callers of one process share what is under way. */
export class Loads {
  readonly #options: LoadsOptions;
  /** By namespace, key and token. */
  readonly #running = new Map<string, Flight>();
  readonly #refreshing = new Set<string>();

  constructor(options: LoadsOptions) {
    this.#options = options;
  }

  /** Who asks from now on must not be given what a load that began before now will bring. */
  forget(): void {
    this.#running.clear();
  }

  /** What the cache or the loader has, shared by all who want it now. */
  get<T>(wanted: Wanted<T>): Promise<Loaded> {
    return this.#fresh(nameOf(wanted), () => this.#load(wanted));
  }

  /** Completes one of many lookups that was not found. Whoever got the lease loads, whatever else is under way. */
  finish<T>(wanted: Wanted<T>, answer: GetResponse | undefined): Promise<Loaded> {
    const name = nameOf(wanted);
    if (answer !== undefined && answer.leaseToken !== '') {
      this.#running.delete(name);
      return this.#share(name, () => this.#loadAndFill(wanted, answer.leaseToken, 'miss'));
    }
    const why = whyAlone(answer, false);
    if (why === undefined) return this.get(wanted);
    return this.#fresh(name, () => this.#loadOnly(wanted, why));
  }

  /** The source's answer where the cached one is of another form. */
  unreadable<T>(wanted: Wanted<T>): Promise<Loaded> {
    return this.#fresh(`${nameOf(wanted)} unreadable`, () => this.#loadOnly(wanted, 'unreadable'));
  }

  /**
   * Shares a load that nobody has been asked for yet, or the one after it: what was asked for earlier may be older than a
   * change that was confirmed before this caller came.
   */
  async #fresh(name: string, load: () => Promise<Loaded>): Promise<Loaded> {
    const running = this.#running.get(name);
    if (running?.sent === true) await running.loaded.catch(() => undefined);
    return this.#share(name, load);
  }

  /** One load of a name for all callers of this process; `load` is run where none is under way. */
  #share(name: string, load: () => Promise<Loaded>): Promise<Loaded> {
    const running = this.#running.get(name);
    if (running !== undefined) return running.loaded;
    const loaded = load().finally(() => {
      if (this.#running.get(name) === flight) this.#running.delete(name);
    });
    const flight: Flight = { loaded, sent: false };
    this.#running.set(name, flight);
    // Lookups are sent together after this turn of the event loop.
    setImmediate(() => {
      flight.sent = true;
    });
    return loaded;
  }

  /** Loads anew in the background if what is left of an entry's life is small, and nobody else does. */
  refreshIfDue<T>(wanted: Wanted<T>, leftMs: number): void {
    const { ttlMs = 0, refreshAfter } = wanted.options;
    if (refreshAfter === undefined || ttlMs === 0) return;
    const belowMs = Math.round(ttlMs * (1 - refreshAfter));
    const name = nameOf(wanted);
    if (leftMs >= belowMs || this.#refreshing.has(name)) return;
    this.#refreshing.add(name);
    this.#refresh(wanted, belowMs)
      .catch((error: unknown) => this.#options.hooks.refreshFailed?.(wanted.namespace, error))
      .finally(() => this.#refreshing.delete(name));
  }

  async #refresh<T>(wanted: Wanted<T>, refreshBelowMs: number): Promise<void> {
    const { pool, near, deadlineMs } = this.#options;
    const { namespace, key } = wanted;
    const ticket = near?.ticket();
    const items = [{ namespace, key, minToken: '', wantLease: true }];
    const request = { id: 0, items, split: false, wantTags: true, refreshBelowMs, traces: undefined };
    const { message, agent } = await pool.call(EdgeCacheService.batchGet, request, deadlineMs);
    const [answer] = message.items;
    // No lease: another process refreshes, or has, and then this is the fresh one.
    if (answer === undefined) return;
    if (answer.leaseToken !== '') await this.#loadAndFill(wanted, answer.leaseToken, 'refresh');
    else if (ticket !== undefined) near?.offer(namespace, key, answer, agent, ticket);
  }

  async #load<T>(wanted: Wanted<T>): Promise<Loaded> {
    const { namespace, key, options } = wanted;
    const { token = '', deadlineMs, waitMs = DEFAULT_WAIT_MS } = options;
    const { near, now, random } = this.#options;
    const request = { namespace, key, minToken: token, wantLease: true };
    const giveUpAt = now() + waitMs;
    for (const pause of pauses(random)) {
      const ticket = near?.ticket();
      const asked = await this.#askOrNothing(request, deadlineMs);
      const answer = asked?.answer;
      if (answer?.found) {
        if (ticket !== undefined) near?.offer(namespace, key, answer, asked?.agent ?? '', ticket);
        this.refreshIfDue(wanted, answer.ttlMs);
        return presentBytes(answer);
      }
      if (answer !== undefined && answer.leaseToken !== '') {
        return this.#loadAndFill(wanted, answer.leaseToken, 'miss');
      }
      const why = whyAlone(answer, now() >= giveUpAt);
      if (why !== undefined) return this.#loadOnly(wanted, why);
      await pause(answer?.retryAfterMs ?? 0);
    }
    throw new Error('pauses never end');
  }

  /** Nothing where no agent answers in time; requests that no agent would answer throw. */
  async #askOrNothing(request: GetRequest, deadlineMs: number | undefined): Promise<Asked | undefined> {
    try {
      return await this.#options.ask(request, deadlineMs);
    } catch (error) {
      if (mayBeLoaded(error)) return undefined;
      throw error;
    }
  }

  async #loadOnly<T>(wanted: Wanted<T>, why: LoadReason): Promise<Loaded> {
    const value = await this.#run(wanted, why);
    return value === undefined ? undefined : wanted.options.codec.encode(value);
  }

  #run<T>({ namespace, key, loader, options }: Wanted<T>, why: LoadReason): Promise<T | undefined> {
    this.#options.hooks.load?.(why, namespace);
    const { hardDeadlineMs } = options;
    if (hardDeadlineMs === undefined) return loader();
    const message = `the loader of ${namespace} ${key} took more than ${hardDeadlineMs} ms`;
    return within(
      hardDeadlineMs,
      loader(),
      () => new EdgeCacheError('EC_CLIENT_LOADER_DEADLINE', message, true),
    );
  }

  async #loadAndFill<T>(wanted: Wanted<T>, leaseToken: string, why: 'miss' | 'refresh'): Promise<Loaded> {
    const { pool, near, hooks, deadlineMs } = this.#options;
    const { namespace, key } = wanted;
    const { bytes, request } = await this.#prepare(wanted, leaseToken, why).catch((error: unknown) => {
      // So that others need not wait for its end. If this fails too, it ends by itself.
      const lease = { namespace, key, leaseToken };
      pool.call(EdgeCacheService.release, lease, deadlineMs).catch(() => undefined);
      throw error;
    });
    const ticket = near?.ticket();
    try {
      const { message, agent } = await pool.call(EdgeCacheService.fill, request, deadlineMs);
      if (!message.accepted) {
        hooks.fillFailed?.(namespace, 'revoked');
        return bytes;
      }
      const { version, ttlMs } = message;
      if (ticket !== undefined)
        near?.keep(namespace, key, { bytes, version, tags: request.tags, ttlMs }, agent, ticket);
    } catch (error) {
      // Whatever the cache has against the value, the caller asked for it and here it is.
      if (!(error instanceof EdgeCacheError)) throw error;
      hooks.fillFailed?.(namespace, 'error', error);
    }
    return bytes;
  }

  /** Loads, and makes the fill of it. @throws what loader, codec or tags throw */
  async #prepare<T>(wanted: Wanted<T>, leaseToken: string, why: 'miss' | 'refresh') {
    const value = await this.#run(wanted, why);
    const bytes = value === undefined ? undefined : wanted.options.codec.encode(value);
    return { bytes, request: this.#fillOf(wanted, value, bytes, leaseToken) };
  }

  #fillOf<T>(
    { namespace, key, options }: Wanted<T>,
    value: T | undefined,
    bytes: Buffer | undefined,
    leaseToken: string,
  ): FillRequest {
    const { tags = [], ttlMs = 0, absentTtlMs = ttlMs, ttlJitter = 0 } = options;
    const labels = typeof tags === 'function' ? (value === undefined ? [] : tags(value)) : tags;
    const shorter = 1 - ttlJitter * this.#options.random();
    const absent = bytes === undefined;
    return {
      namespace,
      key,
      value: bytes ?? Buffer.alloc(0),
      ttlMs: absent ? absentLife(absentTtlMs, options) : Math.ceil(ttlMs * shorter),
      tags: [...labels],
      leaseToken,
      absent,
    };
  }
}

interface Named {
  readonly namespace: string;
  readonly key: string;
  readonly options: { readonly token?: string };
}

/** Of an absence that is not to be cached: the fill that ends its lease must be sent all the same, or others would wait for it. */
const NO_LIFE_MS = 1;

function absentLife(absentTtlMs: number, { absentTtlMs: given }: { readonly absentTtlMs?: number }): number {
  return given === 0 ? NO_LIFE_MS : absentTtlMs;
}

function nameOf({ namespace, key, options }: Named): string {
  return `${namespace}:${key}:${options.token ?? ''}`;
}

export function presentBytes({ absent, value }: GetResponse): Buffer | undefined {
  return absent ? undefined : value;
}

/** Whether a failed lookup leaves the source to answer. Not so a caller's own mistake, which it must see. */
export function mayBeLoaded(error: unknown): boolean {
  return error instanceof EdgeCacheError && (error.retryable || REFUSALS.has(error.code));
}

/** What the application's users should not suffer from: its operators hear of it by the hook for loads. */
const REFUSALS: ReadonlySet<ClientErrorCode> = new Set([
  'EC_CLIENT_REFUSED',
  'EC_CLIENT_UNAUTHENTICATED',
  'EC_CLIENT_PERMISSION_DENIED',
]);

/** Why a loader has to answer without filling the cache, if it has. */
function whyAlone(answer: GetResponse | undefined, late: boolean) {
  if (answer === undefined) return 'unavailable';
  if (answer.degraded) return 'degraded';
  return late ? 'waited' : undefined;
}
