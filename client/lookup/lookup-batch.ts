import { EdgeCacheService, type GetRequest } from '../../proto/gen/edgecache/v1/edgecache.ts';
import type { AgentPool } from '../agent-pool.ts';
import { EdgeCacheError, fromRefusal } from '../errors.ts';
import type { CallerTrace } from '../tracing.ts';
import { decodeBatch } from './batch-decoder.ts';
import type { Bounded } from './deadlines.ts';
import type { Asked, PendingLookup } from './pending-lookup.ts';

/** What goes to an agent as one batch, whoever asked for it. */
export interface LookupBatch {
  readonly requests: readonly GetRequest[];
  /** Whether hits are to be answered before what the agent must fetch. */
  readonly split: boolean;
  /** Told when somebody gave up waiting for it. */
  late: () => void;
  answer(place: number, asked: Asked): void;
  fail(place: number, error: unknown): void;
  failAll(error: unknown): void;
}

/** Lookups of many callers, each of whom should not wait for what has to be fetched for another. */
export class SharedBatch implements LookupBatch {
  readonly split = true;
  readonly lookups: readonly PendingLookup[];
  readonly requests: readonly GetRequest[];

  constructor(lookups: readonly PendingLookup[]) {
    this.lookups = lookups;
    this.requests = lookups.map(({ request }) => request);
  }

  set late(late: () => void) {
    for (const lookup of this.lookups) lookup.late = late;
  }

  answer(place: number, asked: Asked): void {
    const { refusal } = asked.answer;
    if (refusal !== undefined) this.fail(place, fromRefusal(refusal));
    else this.lookups[place]?.answer(asked);
  }

  fail(place: number, error: unknown): void {
    this.lookups[place]?.fail(error);
  }

  failAll(error: unknown): void {
    for (const lookup of this.lookups) lookup.fail(error);
  }
}

/** Lookups that one caller makes at once, and waits for together: one that is refused refuses all, as in a call of their own. */
export class OwnBatch implements LookupBatch, Bounded {
  readonly split = false;
  readonly requests: readonly GetRequest[];
  readonly deadlineMs: number;
  /** Monotonic milliseconds. */
  readonly deadlineAt: number;
  readonly promise: Promise<Asked[]>;
  late: () => void = () => undefined;
  trace: CallerTrace | undefined;
  /** A call of its own has been made for it, which has a deadline of its own. */
  alone = false;
  over = false;
  readonly #answers: Asked[] = [];
  #left: number;
  #resolve: (answers: Asked[]) => void = () => undefined;
  #reject: (error: unknown) => void = () => undefined;

  constructor(requests: readonly GetRequest[], deadlineMs: number, deadlineAt: number) {
    this.requests = requests;
    this.deadlineMs = deadlineMs;
    this.deadlineAt = deadlineAt;
    this.#left = requests.length;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  answer(place: number, asked: Asked): void {
    if (this.over || place >= this.requests.length || this.#answers[place] !== undefined) return;
    const { refusal } = asked.answer;
    if (refusal !== undefined) {
      this.failAll(fromRefusal(refusal));
      return;
    }
    this.#answers[place] = asked;
    this.#left -= 1;
    if (this.#left > 0) return;
    this.over = true;
    this.#resolve(this.#answers);
  }

  answerAll(answers: readonly Asked[]): void {
    for (const [place, asked] of answers.entries()) this.answer(place, asked);
    if (!this.over) this.failAll(new Error('answers are missing'));
  }

  fail(_: number, error: unknown): void {
    this.failAll(error);
  }

  failAll(error: unknown): void {
    if (this.over) return;
    this.over = true;
    this.#reject(error);
  }

  expire(): void {
    if (this.alone) return;
    this.failAll(new EdgeCacheError('EC_CLIENT_DEADLINE', `no answer within ${this.deadlineMs} ms`, true));
    this.late();
  }
}

/** Many lookups in a call of their own. @throws EdgeCacheError */
export async function batchGet(
  pool: AgentPool,
  items: readonly GetRequest[],
  deadlineMs: number,
  wantTags: boolean,
): Promise<Asked[]> {
  const request = {
    id: 0,
    items: [...items],
    split: false,
    wantTags,
    refreshBelowMs: 0,
    traces: undefined,
  };
  const method = { ...EdgeCacheService.batchGet, responseDeserialize: decodeBatch };
  const { message, node, agent } = await pool.call(method, request, deadlineMs);
  return message.items.map((answer) => ({ answer, node, agent }));
}
