/** Work that nobody waits for, bounded in how much of it there is and in how much is done at once. */
export class Background {
  readonly #most: number;
  readonly #atOnce: number;
  #open = 0;
  #running = 0;
  #isClosed = false;
  readonly #waiting: (() => void)[] = [];
  readonly #idlers: (() => void)[] = [];

  /**
   * @param options.most pieces of work under way; what is offered beyond is dropped
   * @param options.atOnce steps of them that run at the same time
   */
  constructor({ most, atOnce }: { readonly most: number; readonly atOnce: number }) {
    this.#most = most;
    this.#atOnce = atOnce;
  }

  /** Begins a piece of work after this turn of the event loop. @returns false: there is too much already, it was dropped. */
  offer(work: () => Promise<void>): boolean {
    if (this.#isClosed || this.#open >= this.#most) return false;
    this.#open += 1;
    // Not now: whoever offers it is on the way to an answer.
    setImmediate(() => {
      // It tells of its failures itself; nobody else would hear them.
      (this.#isClosed ? Promise.resolve() : work()).catch(() => undefined).finally(() => this.#end());
    });
    return true;
  }

  /** Runs one step of a piece of work when it is its turn. Waiting between steps takes no turn. */
  async step<R>(step: () => Promise<R>): Promise<R> {
    if (this.#running >= this.#atOnce) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running += 1;
    try {
      return await step();
    } finally {
      // The turn is handed on, so that nobody who comes later takes it.
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    if (this.#open > 0) await new Promise<void>((resolve) => this.#idlers.push(resolve));
  }

  /** Begins nothing any more. */
  close(): void {
    this.#isClosed = true;
  }

  #end(): void {
    this.#open -= 1;
    if (this.#open === 0) for (const resolve of this.#idlers.splice(0)) resolve();
  }
}
