/** Samples kept for percentiles: enough that the 99th rests on ten of them. */
const SAMPLES = 1024;

/** Recent durations in milliseconds and their percentiles (nearest rank). */
export class RecentDurations {
  readonly #samples = new Float64Array(SAMPLES);
  #count = 0;

  add(ms: number): void {
    this.#samples[this.#count % SAMPLES] = ms;
    this.#count += 1;
  }

  /** @param share from 0 to 1. 0 where nothing was measured. */
  percentile(share: number): number {
    const size = Math.min(this.#count, SAMPLES);
    if (size === 0) return 0;
    const sorted = this.#samples.slice(0, size).sort();
    return sorted[Math.min(size - 1, Math.ceil(share * size) - 1)] ?? 0;
  }
}
