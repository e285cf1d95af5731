import { EdgeCacheClient } from '../edge-cache-client.ts';
import type { MigratingCacheOptions } from '../migration/migrating-cache.ts';
import { type MigratingCache, Migration, type MigrationOptions } from '../migration/migration.ts';
import type { FakeAgent } from './fake-agent.ts';

export interface Price {
  readonly version: number;
  readonly amount: number;
}

export const price = (version: number): Price => ({ version, amount: 100 * version });

/** The cache that an application has: without TTL, so that nothing is gone by itself. */
export class OldCache {
  readonly entries = new Map<string, Price>();
  readonly calls: string[] = [];
  failure: Error | undefined;

  async get(key: string): Promise<Price | undefined> {
    return this.#do('get', key, () => this.entries.get(key));
  }

  async set(key: string, value: Price): Promise<void> {
    this.#do('set', key, () => this.entries.set(key, value));
  }

  async delete(key: string): Promise<void> {
    this.#do('delete', key, () => this.entries.delete(key));
  }

  #do<R>(what: string, key: string, work: () => R): R {
    this.calls.push(`${what} ${key}`);
    if (this.failure !== undefined) throw this.failure;
    return work();
  }
}

/** An application with prices in a database and in an old cache, beside an agent. */
export class AnApplication {
  readonly namespace = 'ns';
  readonly client: EdgeCacheClient;
  readonly old = new OldCache();
  readonly truth = new Map<string, Price>();
  readonly #agent: FakeAgent;
  readonly #migrations: Migration[] = [];

  constructor(agent: FakeAgent) {
    this.#agent = agent;
    this.client = new EdgeCacheClient({
      addresses: [agent.address],
      connectTimeoutMs: 2_000,
      deadlineMs: 2_000,
      changeTries: 1,
      random: () => 0,
    });
  }

  /** Compares every read, and waits next to nothing before it judges. */
  migrate(
    options: Partial<MigrationOptions> = {},
    cache: Partial<MigratingCacheOptions<Price>> = {},
  ): { migration: Migration; prices: MigratingCache<Price> } {
    const { client } = this;
    const migration = new Migration({
      client,
      sampleShare: 1,
      graceMs: 5,
      edgeDeadlineMs: 2_000,
      ...options,
    });
    this.#migrations.push(migration);
    const prices = migration.cache<Price>(this.namespace, {
      existing: this.old,
      load: async (key) => this.truth.get(key),
      versionOf: ({ version }) => version,
      ...cache,
    });
    return { migration, prices };
  }

  /** What the agent was told to drop; with neither keys nor tags, everything. */
  invalidations(): { readonly keys: readonly string[]; readonly tags: readonly string[] }[] {
    return this.#agent.calls('invalidate').map((request) => {
      const { keys, tags } = Object(request);
      return { keys, tags };
    });
  }

  async close(): Promise<void> {
    for (const one of this.#migrations) await one.close();
    this.client.close();
  }
}

/** What counts of the only namespace. */
export function seen(migration: Migration) {
  const [report] = migration.report().namespaces;
  if (report === undefined) throw new Error('one namespace');
  return report;
}
