import { setTimeout as delay } from 'node:timers/promises';
import type { MigratingCache } from '../../client/migration/migration.ts';
import type { Database, Price } from './database.ts';

export interface LoadOptions {
  readonly database: Database;
  /** One for each process of the application. */
  readonly processes: readonly MigratingCache<Price>[];
  readonly keys: readonly string[];
  /** By each process. */
  readonly readsPerSecond: number;
  readonly changesPerSecond: number;
}

/** Readers in every process, and a writer in the first. */
export class Load {
  readonly #options: LoadOptions;
  readonly #stop = new AbortController();
  readonly #running: readonly Promise<void>[];

  constructor(options: LoadOptions) {
    this.#options = options;
    const { processes, readsPerSecond, changesPerSecond } = options;
    const [writer] = processes;
    this.#running = [
      ...processes.map((prices) => this.#repeat(readsPerSecond, () => prices.getOrLoad(this.#anyKey()))),
      ...(writer === undefined ? [] : [this.#repeat(changesPerSecond, () => this.#change(writer))]),
    ];
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#running);
  }

  async #change(prices: MigratingCache<Price>): Promise<void> {
    const key = this.#anyKey();
    await this.#options.database.setPrice(key, Math.round(Math.random() * 1_000) / 100);
    // The only line that writers need: the source has changed.
    await prices.changed(key);
  }

  async #repeat(perSecond: number, work: () => Promise<unknown>): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await work();
      await delay(1_000 / perSecond);
    }
  }

  #anyKey(): string {
    const { keys } = this.#options;
    return keys[Math.floor(Math.random() * keys.length)] ?? '';
  }
}
