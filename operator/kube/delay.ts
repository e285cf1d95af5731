/** Waits, or returns early when the signal says so. Never throws. */
export function delay(ms: number, signal: AbortSignal): Promise<void> {
  // Not node:timers/promises: test clocks do not reach it.
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
      return;
    }
    const finish = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', finish);
      resolve();
    };
    const timer = setTimeout(finish, ms);
    signal.addEventListener('abort', finish, { once: true });
  });
}

/** Exponential backoff with jitter, so that many who failed together do not come back together. */
export class Backoff {
  readonly #baseMs: number;
  readonly #maxMs: number;
  readonly #random: () => number;
  #failures = 0;

  constructor(baseMs: number, maxMs: number, random: () => number = Math.random) {
    this.#baseMs = baseMs;
    this.#maxMs = maxMs;
    this.#random = random;
  }

  /** How long to wait after one more failure: between half of the step and all of it. */
  next(): number {
    const step = Math.min(this.#maxMs, this.#baseMs * 2 ** Math.min(this.#failures, 30));
    this.#failures += 1;
    return step / 2 + (this.#random() * step) / 2;
  }

  reset(): void {
    this.#failures = 0;
  }
}
