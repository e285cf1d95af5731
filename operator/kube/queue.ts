export interface QueueTiming {
  readonly baseMs: number;
  readonly maxMs: number;
  /** Of retries of all keys together. */
  readonly retriesPerSecond: number;
  readonly retryBurst: number;
}

export interface QueueObserver {
  onAdd?(): void;
  onRetry?(): void;
  /** How long a key waited for a worker. */
  onTake?(waitedMs: number): void;
}

const TIMING: QueueTiming = { baseMs: 500, maxMs: 300_000, retriesPerSecond: 10, retryBurst: 100 };

/**
 * Keys to reconcile. A key waits once however often it is added, is never handed to two workers at a time,
 * and is handed out again if it was added while a worker had it. Failures are retried with a backoff per key.
 */
export class WorkQueue {
  readonly #timing: QueueTiming;
  readonly #observer: QueueObserver;
  readonly #random: () => number;
  readonly #ready: string[] = [];
  readonly #dirty = new Map<string, number>();
  readonly #active = new Set<string>();
  readonly #failures = new Map<string, number>();
  readonly #delayed = new Map<string, { due: number; timer: NodeJS.Timeout }>();
  readonly #waiting: ((key: string | undefined) => void)[] = [];
  #retryTokens: number;
  #tokensAt = Date.now();
  #stopped = false;

  constructor(timing: Partial<QueueTiming> = {}, observer: QueueObserver = {}, random = Math.random) {
    this.#timing = { ...TIMING, ...timing };
    this.#observer = observer;
    this.#random = random;
    this.#retryTokens = this.#timing.retryBurst;
  }

  /** Keys that wait for a worker. */
  get depth(): number {
    return this.#ready.length;
  }

  get activeCount(): number {
    return this.#active.size;
  }

  add(key: string): void {
    if (this.#stopped || this.#dirty.has(key)) return;
    this.#dirty.set(key, Date.now());
    this.#observer.onAdd?.();
    // While a worker has it, it stays dirty only; done() puts it back.
    if (!this.#active.has(key)) this.#push(key);
  }

  /** Adds later. Of several delays for one key the earliest wins. */
  addAfter(key: string, delayMs: number): void {
    if (this.#stopped) return;
    if (delayMs <= 0) {
      this.add(key);
      return;
    }
    const due = Date.now() + delayMs;
    const before = this.#delayed.get(key);
    if (before !== undefined) {
      if (before.due <= due) return;
      clearTimeout(before.timer);
    }
    const timer = setTimeout(() => {
      this.#delayed.delete(key);
      this.add(key);
    }, delayMs);
    this.#delayed.set(key, { due, timer });
  }

  /** Adds after a failure: each one in a row waits twice as long. */
  addRateLimited(key: string): void {
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    this.#observer.onRetry?.();
    const step = Math.min(this.#timing.maxMs, this.#timing.baseMs * 2 ** Math.min(failures, 30));
    this.addAfter(key, Math.max(step / 2 + (this.#random() * step) / 2, this.#waitForToken()));
  }

  /** Ends the backoff of a key. */
  forget(key: string): void {
    this.#failures.delete(key);
  }

  /** The next key; undefined when the queue has been stopped. */
  take(): Promise<string | undefined> {
    if (this.#stopped) return Promise.resolve(undefined);
    const key = this.#ready.shift();
    if (key !== undefined) return Promise.resolve(this.#hand(key));
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** To be called for each key taken, whatever came of it. */
  done(key: string): void {
    this.#active.delete(key);
    if (this.#dirty.has(key) && !this.#stopped) this.#push(key);
  }

  /** Hands out nothing more. Keys that workers have are theirs to finish. */
  stop(): void {
    this.#stopped = true;
    for (const { timer } of this.#delayed.values()) clearTimeout(timer);
    this.#delayed.clear();
    for (const resolve of this.#waiting.splice(0)) resolve(undefined);
  }

  #push(key: string): void {
    const waiter = this.#waiting.shift();
    if (waiter === undefined) this.#ready.push(key);
    else waiter(this.#hand(key));
  }

  #hand(key: string): string {
    this.#observer.onTake?.(Date.now() - (this.#dirty.get(key) ?? Date.now()));
    this.#dirty.delete(key);
    this.#active.add(key);
    return key;
  }

  #waitForToken(): number {
    const { retriesPerSecond, retryBurst } = this.#timing;
    const now = Date.now();
    const earned = ((now - this.#tokensAt) / 1000) * retriesPerSecond;
    this.#tokensAt = now;
    this.#retryTokens = Math.min(retryBurst, this.#retryTokens + earned) - 1;
    return this.#retryTokens >= 0 ? 0 : (-this.#retryTokens / retriesPerSecond) * 1000;
  }
}
