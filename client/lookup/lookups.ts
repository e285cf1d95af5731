import { type ServiceError, status } from '@grpc/grpc-js';
import { EdgeCacheService, type GetRequest } from '../../proto/gen/edgecache/v1/edgecache.ts';
import type { AgentLink } from '../agent-link.ts';
import type { AgentPool } from '../agent-pool.ts';
import { AgentUnavailableError, EdgeCacheError, fromGrpc } from '../errors.ts';
import type { TraceCarrier } from '../tracing.ts';
import { Deadlines } from './deadlines.ts';
import { batchGet, type LookupBatch, OwnBatch, SharedBatch } from './lookup-batch.ts';
import { LookupStream } from './lookup-stream.ts';
import { type Asked, PendingLookup, Waiter } from './pending-lookup.ts';

export interface LookupsOptions {
  readonly pool: AgentPool;
  /** Whether answers should say their entries' tags. */
  readonly wantTags: boolean;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Most lookups in one batch; at most 1024. */
  readonly maxBatch: number;
  /** Most lookups that may wait to be sent. */
  readonly maxWaiting: number;
  readonly trace?: TraceCarrier | undefined;
}

/** Batches that the agent has not begun to answer. With more, lookups wait to be sent together: the more load, the larger. */
const MAX_UNHEARD = 4;
/** Longest that lookups wait for an earlier batch, in milliseconds: a slow one must not keep the others. */
const WINDOW_MS = 1;
/** An agent without the stream is one of an older release; it will be replaced one day. */
const UNSERVED_MS = 30_000;

/**
 * Lookups of single keys, made together: all calls of a turn of the event loop share a batch on one stream, and under load
 * those share one that come while the stream is busy. Where there is no stream, each is a call of its own.
 */
export class Lookups {
  readonly #options: LookupsOptions;
  readonly #deadlines = new Deadlines();
  #pending: PendingLookup[] = [];
  /** Batches of single callers that wait for room on the stream. */
  #own: OwnBatch[] = [];
  readonly #byName = new Map<string, PendingLookup>();
  readonly #unserved = new WeakMap<AgentLink, number>();
  #stream: LookupStream | undefined;
  #immediate: NodeJS.Immediate | undefined;
  #window: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: LookupsOptions) {
    this.#options = options;
  }

  /** Lookups that have not been sent. */
  get waiting(): number {
    return this.#pending.length + this.#own.reduce((sum, { requests }) => sum + requests.length, 0);
  }

  /** @throws EdgeCacheError */
  ask(request: GetRequest, deadlineMs: number): Promise<Asked> {
    if (this.#closed) return Promise.reject(closedError());
    if (this.waiting >= this.#options.maxWaiting) return Promise.reject(this.#overloaded());
    const lookup = this.#join(request);
    const { trace } = this.#options;
    if (trace !== undefined) lookup.trace ??= trace.caller;
    const waiter = new Waiter(deadlineMs, this.#deadlines.now() + deadlineMs, () => lookup.late());
    lookup.waiters.push(waiter);
    this.#deadlines.add(waiter, deadlineMs);
    return waiter.promise;
  }

  /**
   * Lookups of one caller, at most 1024, in a batch of their own; undefined where there is no stream to send it on.
   * @throws EdgeCacheError
   */
  askTogether(requests: readonly GetRequest[], deadlineMs: number): Promise<Asked[]> | undefined {
    if (this.#closed) return Promise.reject(closedError());
    const stream = this.#current();
    if (stream === undefined) return undefined;
    const batch = new OwnBatch(requests, deadlineMs, this.#deadlines.now() + deadlineMs);
    batch.trace = this.#options.trace?.caller;
    if (!stream.blocked) stream.send(batch);
    else if (this.waiting < this.#options.maxWaiting) this.#own.push(batch);
    else return Promise.reject(this.#overloaded());
    this.#deadlines.add(batch, deadlineMs);
    return batch.promise;
  }

  #overloaded(): EdgeCacheError {
    const message = `${this.#options.maxWaiting} lookups wait to be sent already`;
    return new EdgeCacheError('EC_CLIENT_OVERLOADED', message, true);
  }

  close(): void {
    this.#closed = true;
    clearImmediate(this.#immediate);
    clearTimeout(this.#window);
    for (const lookup of this.#take(this.#pending.length)) lookup.fail(closedError());
    for (const batch of this.#own.splice(0)) batch.failAll(closedError());
    this.#stream?.cancel();
    this.#deadlines.close();
  }

  /** The lookup that is about to be sent for the same, or a new one. What was sent already may be older than its caller. */
  #join(request: GetRequest): PendingLookup {
    // A lease to load goes to one caller alone.
    const name = request.wantLease ? '' : `${request.namespace}:${request.key}:${request.minToken}`;
    const known = name === '' ? undefined : this.#byName.get(name);
    if (known !== undefined) return known;
    const lookup = new PendingLookup(request);
    this.#pending.push(lookup);
    if (name !== '') this.#byName.set(name, lookup);
    // After everything that has arrived has been handled: requests of many callers come in together.
    this.#immediate ??= setImmediate(() => {
      this.#immediate = undefined;
      this.#flush(false);
    });
    return lookup;
  }

  #flush(overdue: boolean): void {
    this.#flushOwn();
    const { maxBatch } = this.#options;
    while (this.#pending.length > 0) {
      const stream = this.#current();
      if (stream === undefined) {
        for (const lookup of this.#take(this.#pending.length)) this.#askAlone(lookup);
        return;
      }
      // Not to be sent now: it would only wait somewhere else. `room` comes when that has changed.
      if (stream.blocked) return;
      if (stream.unheard >= MAX_UNHEARD && !overdue && this.#pending.length < maxBatch) {
        this.#window ??= setTimeout(() => {
          this.#window = undefined;
          this.#flush(true);
        }, WINDOW_MS);
        return;
      }
      stream.send(new SharedBatch(this.#take(maxBatch)));
    }
  }

  #flushOwn(): void {
    while (this.#own.length > 0) {
      const stream = this.#current();
      if (stream?.blocked === true) return;
      const batch = this.#own.shift();
      if (batch === undefined || batch.over) continue;
      if (stream === undefined) this.#askApart(batch);
      else stream.send(batch);
    }
  }

  #take(count: number): PendingLookup[] {
    this.#byName.clear();
    if (count >= this.#pending.length) {
      const all = this.#pending;
      this.#pending = [];
      return all;
    }
    return this.#pending.splice(0, count);
  }

  /** The stream to the agent that lookups go to now, opened where there is none. */
  #current(): LookupStream | undefined {
    const { pool, now } = this.#options;
    const link = pool.preferred();
    if (this.#stream?.usable === true && this.#stream.link === link) return this.#stream;
    if (this.#stream?.usable === true) this.#stream.end();
    this.#stream = undefined;
    if (link === undefined || (this.#unserved.get(link) ?? 0) > now()) return undefined;
    this.#stream = this.#open(link);
    return this.#stream;
  }

  #open(link: AgentLink): LookupStream {
    const { pool, wantTags, now, trace } = this.#options;
    return new LookupStream(
      link,
      { wantTags, now, trace },
      {
        heard: (ms) => {
          pool.isWell(link);
          pool.answered('Lookup', ms);
        },
        room: () => {
          if (this.#immediate !== undefined) return;
          if (this.#pending.length > 0) this.#flush(false);
          else if (this.#own.length > 0) this.#flushOwn();
        },
        late: () => pool.failed(link, new EdgeCacheError('EC_CLIENT_DEADLINE', 'no answer in time', true)),
        over: (unanswered, error) => this.#fallBack(link, unanswered, error),
      },
    );
  }

  /** A stream is over: what it owes is asked again, of whoever answers now. */
  #fallBack(link: AgentLink, unanswered: readonly LookupBatch[], error: ServiceError | undefined): void {
    if (this.#closed) {
      for (const batch of unanswered) batch.failAll(closedError());
      return;
    }
    const { pool, now } = this.#options;
    if (error?.code === status.UNIMPLEMENTED) this.#unserved.set(link, now() + UNSERVED_MS);
    else if (error !== undefined) {
      const failure = fromGrpc(error);
      if (failure instanceof AgentUnavailableError) pool.failed(link, failure);
    }
    for (const batch of unanswered) this.#askAgain(batch);
    if (this.waiting > 0) this.#flush(true);
  }

  #askAgain(batch: LookupBatch): void {
    if (batch instanceof OwnBatch) this.#askApart(batch);
    if (batch instanceof SharedBatch) for (const lookup of batch.lookups) this.#askAlone(lookup);
  }

  /** In a call of its own, for what is left of its time. */
  #askApart(batch: OwnBatch): void {
    if (batch.over) return;
    batch.alone = true;
    const { pool, wantTags, trace } = this.#options;
    const deadlineMs = Math.max(1, Math.ceil(batch.deadlineAt - this.#deadlines.now()));
    const ask = () => batchGet(pool, batch.requests, deadlineMs, wantTags);
    (trace === undefined ? ask() : trace.within(batch.trace, ask)).then(
      (answers) => batch.answerAll(answers),
      (error: unknown) => batch.failAll(error),
    );
  }

  #askAlone(lookup: PendingLookup): void {
    if (lookup.over) return;
    const now = this.#deadlines.now();
    const deadlineMs = Math.max(1, ...lookup.waiters.map(({ deadlineAt }) => Math.ceil(deadlineAt - now)));
    for (const waiter of lookup.waiters) waiter.alone = true;
    const { pool, trace } = this.#options;
    const ask = () => pool.call(EdgeCacheService.get, lookup.request, deadlineMs);
    (trace === undefined ? ask() : trace.within(lookup.trace, ask)).then(
      // Whose answer it is stays unsaid: Get does not tell the tags, without which nobody may hold it.
      ({ message, node }) => lookup.answer({ answer: message, node, agent: '' }),
      (error: unknown) => lookup.fail(error),
    );
  }
}

function closedError(): EdgeCacheError {
  return new EdgeCacheError('EC_CLIENT_CLOSED', 'the client is closed', false);
}
