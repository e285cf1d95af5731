/** Does one piece of its work; says whether there is more that could be done now. */
export type Turn = () => boolean;

export interface TurnsOptions {
  /** Longest that turns may keep everything else waiting, in milliseconds. */
  readonly budgetMs: number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Runs later, after the messages that have already arrived. */
  readonly schedule: (run: () => void) => void;
}

/**
 * Lets many take turns: each does one piece of its work, then the next one's turn comes. So who has much to do
 * waits for itself, and unary calls come in between.
 */
export class Turns {
  readonly #options: TurnsOptions;
  #waiting = new Set<Turn>();
  #scheduled = false;

  constructor(options: TurnsOptions) {
    this.#options = options;
  }

  /** Asks for a turn; asking again before it came changes nothing. */
  request(turn: Turn): void {
    this.#waiting.add(turn);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#options.schedule(() => {
      this.#scheduled = false;
      this.#round();
      if (this.#waiting.size > 0) this.#schedule();
    });
  }

  #round(): void {
    const { now, budgetMs } = this.#options;
    const deadline = now() + budgetMs;
    // A set visits what is added while it is being walked: who wants another turn goes to the end of the line.
    for (const turn of this.#waiting) {
      this.#waiting.delete(turn);
      if (turn()) this.#waiting.add(turn);
      if (now() >= deadline) return;
    }
  }
}
