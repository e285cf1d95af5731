/** All latencies of a run, in milliseconds: unlike an agent, a demo ends. */
export class Latencies {
  readonly #all: number[] = [];

  add(ms: number): void {
    this.#all.push(ms);
  }

  clear(): void {
    this.#all.length = 0;
  }

  /** Nearest rank. @param share from 0 to 1. 0 where nothing was measured. */
  percentile(share: number): number {
    const sorted = Float64Array.from(this.#all).sort();
    return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
  }
}
