/** What a GPU type costs in a region, as the database has it. */
export interface Price {
  readonly perHour: number;
  /** Counts up with each change. */
  readonly version: number;
  /** Milliseconds since 1970. */
  readonly changedAt: number;
}

/** Stands for the application's database. */
export class Database {
  readonly #prices = new Map<string, Price>();

  async price(key: string): Promise<Price | undefined> {
    return this.#prices.get(key);
  }

  async setPrice(key: string, perHour: number): Promise<void> {
    const version = (this.#prices.get(key)?.version ?? 0) + 1;
    this.#prices.set(key, { perHour, version, changedAt: Date.now() });
  }
}
