/** Something that must be over by a time. */
export interface Bounded {
  readonly over: boolean;
  /** Its time has passed. */
  expire(): void;
}

interface Line {
  readonly waiting: { readonly one: Bounded; readonly at: number }[];
  first: number;
  timer: NodeJS.Timeout | undefined;
}

/** Finished ones that a line may drag along before it is made anew. */
const COMPACT_AT = 1_024;

/** Deadlines of many, with one timer for all that have been given the same time: a timer for each lookup would cost more than the lookup. */
export class Deadlines {
  readonly #lines = new Map<number, Line>();
  /** Monotonic milliseconds of the timers' clock. */
  readonly now: () => number;

  constructor(now: () => number = () => performance.now()) {
    this.now = now;
  }

  add(one: Bounded, ms: number): void {
    let line = this.#lines.get(ms);
    if (line === undefined) {
      line = { waiting: [], first: 0, timer: undefined };
      this.#lines.set(ms, line);
    }
    this.#skip(line);
    line.waiting.push({ one, at: this.now() + ms });
    if (line.timer === undefined) this.#arm(ms, line);
  }

  close(): void {
    for (const { timer } of this.#lines.values()) clearTimeout(timer);
    this.#lines.clear();
  }

  #arm(ms: number, line: Line): void {
    const head = line.waiting[line.first];
    if (head === undefined) {
      this.#lines.delete(ms);
      return;
    }
    line.timer = setTimeout(
      () => {
        line.timer = undefined;
        const now = this.now();
        for (let head = line.waiting[line.first]; head !== undefined; head = line.waiting[line.first]) {
          if (!head.one.over && head.at > now) break;
          line.first += 1;
          if (!head.one.over) head.one.expire();
        }
        this.#arm(ms, line);
      },
      Math.max(1, Math.ceil(head.at - this.now())),
    );
    // A lookup keeps the process alive by its connection.
    line.timer.unref();
  }

  #skip(line: Line): void {
    while (line.waiting[line.first]?.one.over === true) line.first += 1;
    if (line.first < COMPACT_AT) return;
    line.waiting.splice(0, line.first);
    line.first = 0;
  }
}
