import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import type { Found } from '../../client/options.ts';

export type Operation = 'lookup' | 'change';

/** What came of the operations of one kind. */
export interface OperationRow {
  readonly count: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly errors: number;
}

export interface BenchResult {
  readonly seconds: number;
  readonly lookups: OperationRow;
  readonly changes: OperationRow;
  /** Lookups by what they found. */
  readonly found: Readonly<Record<FoundIn, number>>;
  /** Of the lookups that were answered: by memory, and by memory or Redis. */
  readonly l1HitRatio: number;
  readonly hitRatio: number;
  /** How often each message was heard, most first. */
  readonly errors: readonly (readonly [message: string, count: number])[];
}

export type FoundIn = 'l1' | 'l2' | 'absent' | 'miss' | 'degraded';

/** Messages that are told apart: they may name keys. */
const MOST_MESSAGES = 20;

/** Counts what a load does; in constant room, however long it goes on. */
export class Tally {
  readonly #times: Readonly<Record<Operation, RecordableHistogram>> = {
    lookup: createHistogram(),
    change: createHistogram(),
  };
  readonly #failed: Record<Operation, number> = { lookup: 0, change: 0 };
  readonly #found: Record<FoundIn, number> = { l1: 0, l2: 0, absent: 0, miss: 0, degraded: 0 };
  readonly #messages = new Map<string, number>();

  done(operation: Operation, ms: number): void {
    // Nanoseconds; a histogram takes none of less than one.
    this.#times[operation].record(Math.max(1, Math.round(ms * 1e6)));
  }

  found(found: Found<unknown>): void {
    if (found.status !== 'hit') this.#found[found.status] += 1;
    else this.#found[found.source === 'l2' ? 'l2' : 'l1'] += 1;
  }

  failed(operation: Operation, error: unknown): void {
    this.#failed[operation] += 1;
    const message = error instanceof Error ? error.message : String(error);
    const name =
      this.#messages.has(message) || this.#messages.size < MOST_MESSAGES ? message : 'other messages';
    this.#messages.set(name, (this.#messages.get(name) ?? 0) + 1);
  }

  result(seconds: number): BenchResult {
    const { l1, l2, absent, miss, degraded } = this.#found;
    const answered = l1 + l2 + absent + miss + degraded;
    const share = (part: number) => (answered === 0 ? 0 : part / answered);
    return {
      seconds,
      lookups: this.#row('lookup', seconds),
      changes: this.#row('change', seconds),
      found: { ...this.#found },
      l1HitRatio: share(l1),
      hitRatio: share(l1 + l2 + absent),
      errors: [...this.#messages].sort(([, a], [, b]) => b - a),
    };
  }

  #row(operation: Operation, seconds: number): OperationRow {
    const times = this.#times[operation];
    const { count } = times;
    const ms = (nanoseconds: number) => (count === 0 ? 0 : nanoseconds / 1e6);
    return {
      count,
      perSecond: seconds === 0 ? 0 : count / seconds,
      p50Ms: ms(times.percentile(50)),
      p90Ms: ms(times.percentile(90)),
      p99Ms: ms(times.percentile(99)),
      maxMs: ms(times.max),
      errors: this.#failed[operation],
    };
  }
}
