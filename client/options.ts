import type { Confirmation } from '../proto/gen/edgecache/v1/edgecache.ts';
import type { Codec } from './codec.ts';
import type { EdgeCacheError } from './errors.ts';
import type { NearCacheOptions } from './near/near-cache.ts';
import type { ClientTlsOptions } from './tls.ts';
import type { TraceCarrier } from './tracing.ts';

export type { NearCacheOptions, NearNamespaceOptions, NearStats } from './near/near-cache.ts';
export type { ClientTlsOptions } from './tls.ts';

export interface EdgeCacheClientOptions {
  /** Agents in order of preference, `host:port` or `unix:/path`: the own node's first. */
  readonly addresses: readonly string[];
  /** Milliseconds that making a connection may take. Default 100: packets to a node without agent are dropped. */
  readonly connectTimeoutMs?: number;
  /** Milliseconds that a lookup or change may take. Default 1000. */
  readonly deadlineMs?: number;
  /** Tries of a change that found no agent, each with the same event id. Default 3. */
  readonly changeTries?: number;
  /** Namespaces that are held in this process, for as long as the agent's leases allow. Default: none. */
  readonly near?: NearCacheOptions;
  /** Speak TLS to agents, whose port must do so too; unix sockets are plain. Default: plain everywhere. */
  readonly tls?: ClientTlsOptions;
  /** Shown to agents with each call and stream. */
  readonly token?: string;
  /** The same from a file, read again as it changes: for tokens that are rotated, such as those of ServiceAccounts. */
  readonly tokenFile?: string;
  /** How lookups of single keys share batches. */
  readonly lookups?: LookupOptions;
  /** Told of what happens, for metrics. */
  readonly on?: ClientHooks;
  /** Says which trace a call belongs to. Given by `TracedEdgeCacheClient`; default: none. */
  readonly trace?: TraceCarrier;
  /** Monotonic milliseconds. */
  readonly now?: () => number;
  readonly random?: () => number;
}

export interface LookupOptions {
  /** Whether they travel together on a stream; otherwise each is a call of its own. Default true. */
  readonly stream?: boolean;
  /** Most lookups in one batch, at most 1024. Default 512. */
  readonly maxBatch?: number;
  /** Most lookups that may wait to be sent; more are refused, and `getOrLoad` asks its loader. Default 50,000. */
  readonly maxWaiting?: number;
}

export interface ClientHooks {
  /** An agent answered a call, such as `Get` or `BatchGet`, in so many milliseconds. */
  readonly answered?: (method: string, ms: number) => void;
  /** A loader ran, and why. */
  readonly load?: (why: LoadReason, namespace: string) => void;
  /** A loaded value could not be put into the cache; the caller got it all the same. */
  readonly fillFailed?: (namespace: string, reason: 'revoked' | 'error', error?: EdgeCacheError) => void;
  /** A loader was slow or failed, and a value that had ended was given instead. */
  readonly staleGiven?: (namespace: string, why: 'slow' | 'failed') => void;
  /** A refresh that nobody waits for failed. */
  readonly refreshFailed?: (namespace: string, error: unknown) => void;
}

/**
 * Why a loader ran. `unreadable`: what is cached is not of the codec's form; `refresh`: before its end, see
 * {@link LoadOptions.refreshAfter}.
 */
export type LoadReason = 'miss' | 'degraded' | 'unavailable' | 'waited' | 'unreadable' | 'refresh';

/** What a lookup found. A miss, a known absence and "I cannot tell" are three things. */
export type Found<T> =
  | {
      readonly status: 'hit';
      readonly value: T;
      readonly version: string;
      readonly ttlMs: number;
      /** `near`: held in this process. */
      readonly source: 'near' | 'l1' | 'l2';
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
  /** Whether the near cache may answer. Default true; never with a token. */
  readonly near?: boolean;
}

export interface LoadOptions<T> extends GetOptions<T> {
  readonly ttlMs?: number;
  readonly tags?: readonly string[] | ((value: T) => readonly string[]);
  /** Milliseconds to wait for another caller's load before loading as well. Default 2000. */
  readonly waitMs?: number;
  /** Life of a known absence, in milliseconds. Default: as of a value. 0: an absence is not cached. */
  readonly absentTtlMs?: number;
  /** Share of `ttlMs` by which lives are shortened at random, so that what was loaded together does not end together. Default 0. */
  readonly ttlJitter?: number;
  /**
   * Share of `ttlMs` after which one caller of the whole cluster loads anew, in the background, while the others go on with
   * what there is. Needs `ttlMs`. Default: no refresh before the end.
   */
  readonly refreshAfter?: number;
  /** Milliseconds of loading after which a value that has ended is given instead, where the near cache keeps one. */
  readonly softDeadlineMs?: number;
  /** Milliseconds of loading after which callers are told that it failed; the near cache's value goes before that too. */
  readonly hardDeadlineMs?: number;
}

export interface ConfirmOptions {
  /** Return only when no live agent can answer with what was there before; a number is a timeout in milliseconds. */
  readonly confirm?: boolean | number;
  readonly eventId?: string;
}

export interface ExplainOptions {
  /** How many events of the partition's log to look through, newest first, up to 20,000; default 0: none. */
  readonly logEvents?: number;
  /** That the entry has or had, where the agent may not know them. */
  readonly tags?: readonly string[];
  /** Whether to name the agents that may hold entries of the partition. */
  readonly wantAgents?: boolean;
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
