import { bytes } from '../../client/codec.ts';
import type { EdgeCacheClient } from '../../client/edge-cache-client.ts';
import type { OwnKeys } from './own-keys.ts';
import { type BenchResult, type Operation, Tally } from './tally.ts';
import { Zipf } from './zipf.ts';

export interface LoadOptions {
  /** One for each agent: operations go to them in turn. */
  readonly clients: readonly EdgeCacheClient[];
  readonly namespace: string;
  readonly keys: OwnKeys;
  /** Operations in flight, at most. */
  readonly concurrency: number;
  /** Operations begun a second, however long others take; undefined: as many as are answered. */
  readonly perSecond: number | undefined;
  /** Share of operations that are changes, 0 to 1. */
  readonly changes: number;
  /** How much more the first keys are asked for than the last ones; 0: no more. */
  readonly skew: number;
  readonly warmUpMs: number;
  readonly durationMs: number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly random: () => number;
}

/** How long a worker that has nothing to begin yet sleeps: as exact as timers are. */
const TICK_MS = 1;

/** Asks agents for keys and changes some, and measures. */
export class Load {
  readonly #options: LoadOptions;
  readonly #ranks: Zipf;
  #tally = new Tally();
  #beganAt = 0;
  #endsAt = 0;
  #begun = 0;
  #turn = 0;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#ranks = new Zipf(options.keys.count, options.skew, options.random);
  }

  /** Until its time is over or the signal. What has been measured by then counts. */
  async run(signal: AbortSignal): Promise<BenchResult> {
    const { warmUpMs, durationMs, now } = this.#options;
    if (warmUpMs > 0) await this.#phase(warmUpMs, signal);
    this.#tally = new Tally();
    if (!signal.aborted) await this.#phase(durationMs, signal);
    return this.#tally.result((Math.min(now(), this.#endsAt) - this.#beganAt) / 1000);
  }

  /** What has been measured so far. */
  get soFar(): BenchResult {
    return this.#tally.result((this.#options.now() - this.#beganAt) / 1000);
  }

  async #phase(ms: number, signal: AbortSignal): Promise<void> {
    const { concurrency, now } = this.#options;
    this.#beganAt = now();
    this.#endsAt = this.#beganAt + ms;
    this.#begun = 0;
    await Promise.all(Array.from({ length: concurrency }, () => this.#work(signal)));
  }

  async #work(signal: AbortSignal): Promise<void> {
    const { now } = this.#options;
    while (!signal.aborted && now() < this.#endsAt) {
      const due = this.#nextDue();
      if (due === undefined) await new Promise((resolve) => setTimeout(resolve, TICK_MS));
      else await this.#operate(due);
    }
  }

  /**
   * When the next operation is, or was, to begin; undefined: not yet. With a rate, what had to wait for others counts as slow
   * by as much: otherwise a server that hangs would be measured only once (coordinated omission, Gil Tene).
   */
  #nextDue(): number | undefined {
    const { perSecond, now } = this.#options;
    const time = now();
    if (perSecond === undefined) return time;
    const due = this.#beganAt + (this.#begun * 1000) / perSecond;
    if (due > time) return undefined;
    this.#begun += 1;
    return due;
  }

  async #operate(due: number): Promise<void> {
    const { now, random, changes } = this.#options;
    const tally = this.#tally;
    const operation: Operation = random() < changes ? 'change' : 'lookup';
    try {
      if (operation === 'lookup') await this.#lookUp(tally);
      else await this.#options.keys.write(this.#ranks.next(), this.#client());
      tally.done(operation, now() - due);
    } catch (error) {
      tally.failed(operation, error);
      // An agent that refuses at once must not turn this into a loop that does nothing else.
      await new Promise((resolve) => setTimeout(resolve, TICK_MS));
    }
  }

  async #lookUp(tally: Tally): Promise<void> {
    const { namespace, keys } = this.#options;
    const key = keys.at(this.#ranks.next());
    tally.found(await this.#client().get(namespace, key, { codec: bytes }));
  }

  #client(): EdgeCacheClient {
    const { clients } = this.#options;
    const client = clients[this.#turn++ % clients.length];
    if (client === undefined) throw new Error('there is no agent to ask');
    return client;
  }
}
