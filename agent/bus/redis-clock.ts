/** Samples older than this no longer count: clocks drift. */
const SAMPLE_LIFE_MS = 30_000;

/**
 * Estimates how far Redis' clock is from this process' monotonic one, from the sample with the shortest round trip
 * (Cristian 1989). For metrics only: no guarantee rests on another machine's clock.
 */
export class RedisClock {
  readonly #now: () => number;
  #offsetMs: number | undefined;
  #roundTripMs = Number.POSITIVE_INFINITY;
  #sampledAt = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** The shortest round trip of late, in milliseconds; undefined before the first. */
  get roundTripMs(): number | undefined {
    return this.#offsetMs === undefined ? undefined : this.#roundTripMs;
  }

  /** What Redis' clock says now, in milliseconds since 1970; undefined before the first sample. */
  get nowMs(): number | undefined {
    return this.#offsetMs === undefined ? undefined : this.#now() + this.#offsetMs;
  }

  /** Takes a reading of Redis' clock that was asked for and answered at these monotonic times. */
  observe(redisUs: number, askedAt: number, answeredAt: number): void {
    const roundTripMs = answeredAt - askedAt;
    if (roundTripMs > this.#roundTripMs && answeredAt - this.#sampledAt < SAMPLE_LIFE_MS) return;
    this.#roundTripMs = roundTripMs;
    this.#sampledAt = answeredAt;
    this.#offsetMs = redisUs / 1000 - (askedAt + answeredAt) / 2;
  }

  /** Milliseconds since a time of Redis' clock, at least 0; undefined before the first sample. */
  since(redisUs: number): number | undefined {
    if (this.#offsetMs === undefined) return undefined;
    return Math.max(0, this.#now() + this.#offsetMs - redisUs / 1000);
  }
}
