import type { GetRequest, GetResponse } from '../../proto/gen/edgecache/v1/edgecache.ts';
import { EdgeCacheError } from '../errors.ts';
import type { CallerTrace } from '../tracing.ts';
import type { Bounded } from './deadlines.ts';

/** An answer and who gave it. */
export interface Asked {
  readonly answer: GetResponse;
  readonly node: string;
  /** The process; empty where it does not say, or what it says is not enough to be held. */
  readonly agent: string;
}

/** One caller who waits for a lookup. */
export class Waiter implements Bounded {
  readonly promise: Promise<Asked>;
  readonly deadlineMs: number;
  /** Monotonic milliseconds. */
  readonly deadlineAt: number;
  /** A call of its own has been made for it, which has a deadline of its own. */
  alone = false;
  readonly #late: () => void;
  #resolve: (asked: Asked) => void = () => undefined;
  #reject: (error: unknown) => void = () => undefined;
  over = false;

  constructor(deadlineMs: number, deadlineAt: number, late: () => void) {
    this.deadlineMs = deadlineMs;
    this.deadlineAt = deadlineAt;
    this.#late = late;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  answer(asked: Asked): void {
    this.over = true;
    this.#resolve(asked);
  }

  fail(error: unknown): void {
    this.over = true;
    this.#reject(error);
  }

  expire(): void {
    if (this.alone) return;
    this.fail(new EdgeCacheError('EC_CLIENT_DEADLINE', `no answer within ${this.deadlineMs} ms`, true));
    this.#late();
  }
}

/** One lookup, for all callers who asked for the same before it was sent. */
export class PendingLookup {
  readonly request: GetRequest;
  readonly waiters: Waiter[] = [];
  /** Told when one of the callers gave up waiting. */
  late: () => void = () => undefined;
  /** Of the first of the callers who has one. */
  trace: CallerTrace | undefined;

  constructor(request: GetRequest) {
    this.request = request;
  }

  get over(): boolean {
    return this.waiters.every(({ over }) => over);
  }

  answer(asked: Asked): void {
    for (const waiter of this.waiters) if (!waiter.over) waiter.answer(asked);
  }

  fail(error: unknown): void {
    for (const waiter of this.waiters) if (!waiter.over) waiter.fail(error);
  }
}
