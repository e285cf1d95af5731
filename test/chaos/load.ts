import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { json } from '../../client/codec.ts';
import type { EdgeCacheClient } from '../../client/edge-cache-client.ts';
import { EdgeCacheError } from '../../client/errors.ts';
import { type AckedChange, History } from './history.ts';
import { CHAOS_STALENESS_MS, type ChaosAgent, LOAD_NAMESPACE, PUT_NAMESPACE, type World } from './world.ts';

const COUNTER = json((value) => z.number().int().parse(value));
/** Time that answering takes beside the bound: the reader's and the writer's clocks are one, but their queues are not. */
const SLACK_MS = 50;

export interface LoadCounters {
  reads: number;
  hits: number;
  l1Hits: number;
  /** Answered from the process of an application, under its agent's lease. */
  nearHits: number;
  misses: number;
  degraded: number;
  readErrors: number;
  writes: number;
  confirmed: number;
  queued: number;
  writeErrors: number;
}

export interface LoadOptions {
  /** How many keys there are. Default 80. */
  readonly keys?: number;
  /** Longest that the source of truth takes to answer, in which a change may overtake it. Default 20. */
  readonly databaseMs?: number;
}

/**
 * Readers and writers on many keys through all agents. Each key has one writer at a time, so what is true is known; keys of
 * the put namespace are judged by the versions that Redis gave, keys of the load namespace by what their loader must have seen.
 */
export class ChaosLoad {
  readonly counters: LoadCounters = {
    reads: 0,
    hits: 0,
    l1Hits: 0,
    nearHits: 0,
    misses: 0,
    degraded: 0,
    readErrors: 0,
    writes: 0,
    confirmed: 0,
    queued: 0,
    writeErrors: 0,
  };
  /** Judged by version. */
  readonly puts = new History(CHAOS_STALENESS_MS + SLACK_MS);
  /** Judged by the loader's counter, as `<counter>-0`. */
  readonly loads = new History(CHAOS_STALENESS_MS + SLACK_MS);
  readonly #world: World;
  readonly #random: () => number;
  readonly #keys: number;
  readonly #databaseMs: number;
  readonly #truth = new Map<string, number>();
  readonly #busy = new Set<string>();
  readonly #stop = new AbortController();
  readonly #workers: Promise<void>[] = [];

  constructor(world: World, random: () => number, { keys = 80, databaseMs = 20 }: LoadOptions = {}) {
    this.#world = world;
    this.#random = random;
    this.#keys = keys;
    this.#databaseMs = databaseMs;
  }

  start(): void {
    for (const agent of this.#world.agents) {
      for (let i = 0; i < 3; i++) this.#workers.push(this.#repeat(() => this.#readPage(agent), 1));
      this.#workers.push(this.#repeat(() => this.#readLoaded(agent.name, agent.client), 2));
      this.#workers.push(this.#repeat(() => this.#readNear(agent), 2));
      this.#workers.push(this.#repeat(() => this.#readLoaded(`${agent.name} near`, agent.near), 4));
      for (let i = 0; i < 2; i++) this.#workers.push(this.#repeat(() => this.#put(agent), 8));
      this.#workers.push(this.#repeat(() => this.#changeTruth(agent), 12));
    }
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#workers);
  }

  /** Redis came back empty: what was acknowledged before is not there any more, and nothing is owed of it. */
  forget(): void {
    this.puts.forget(performance.now());
    this.loads.forget(performance.now());
  }

  async #repeat(work: () => Promise<void>, pauseMs: number): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await work();
      await delay(pauseMs * (0.5 + this.#random()), undefined, { signal }).catch(() => undefined);
    }
  }

  async #readPage(agent: ChaosAgent): Promise<void> {
    const keys = Array.from({ length: 20 }, () => this.#key());
    const beganAt = performance.now();
    try {
      const found = await agent.client.getMany(PUT_NAMESPACE, keys, { codec: COUNTER });
      const endedAt = performance.now();
      found.forEach((one, i) => {
        this.counters.reads += 1;
        if (one.status === 'degraded') this.counters.degraded += 1;
        if (one.status === 'miss') this.counters.misses += 1;
        if (one.status !== 'hit') return;
        this.counters.hits += 1;
        if (one.source === 'l1') this.counters.l1Hits += 1;
        this.puts.read({ agent: agent.name, key: keys[i] ?? '', version: one.version, beganAt, endedAt });
      });
    } catch (error) {
      this.#failed(error, 'readErrors');
    }
  }

  /** Single lookups, many at a time, from the near cache or on the Lookup stream. */
  async #readNear({ name, near }: ChaosAgent): Promise<void> {
    await Promise.all(
      Array.from({ length: 20 }, async () => {
        const key = this.#key();
        const beganAt = performance.now();
        try {
          const one = await near.get(PUT_NAMESPACE, key, { codec: COUNTER });
          this.counters.reads += 1;
          if (one.status !== 'hit') return;
          this.counters.hits += 1;
          if (one.source === 'near') this.counters.nearHits += 1;
          const endedAt = performance.now();
          this.puts.read({ agent: `${name} near`, key, version: one.version, beganAt, endedAt });
        } catch (error) {
          this.#failed(error, 'readErrors');
        }
      }),
    );
  }

  async #readLoaded(agent: string, client: EdgeCacheClient): Promise<void> {
    const key = this.#key();
    let loaded = false;
    const load = () => {
      loaded = true;
      return this.#load(key);
    };
    const beganAt = performance.now();
    try {
      const value = await client.getOrLoad(LOAD_NAMESPACE, key, load, {
        codec: COUNTER,
        tags: ['all'],
        waitMs: 200,
      });
      const endedAt = performance.now();
      this.counters.reads += 1;
      if (value !== undefined)
        this.loads.read({ agent, key, version: `${value}-0`, beganAt, endedAt, loaded });
    } catch (error) {
      this.#failed(error, 'readErrors');
    }
  }

  /** The database answers as of now, after a while: long enough for changes to come between. */
  async #load(key: string): Promise<number> {
    const value = this.#truth.get(key) ?? 0;
    await delay(this.#random() * this.#databaseMs);
    return value;
  }

  async #put(agent: ChaosAgent): Promise<void> {
    const key = this.#key();
    const name = `put ${key}`;
    if (this.#busy.has(name)) return;
    this.#busy.add(name);
    const confirmed = this.#random() < 0.3;
    const beganAt = performance.now();
    try {
      const value = (this.#truth.get(name) ?? 0) + 1;
      this.#truth.set(name, value);
      const changed = await agent.client.put(PUT_NAMESPACE, key, value, {
        codec: COUNTER,
        confirm: confirmed ? 4_000 : false,
      });
      this.#changed(this.puts, changed.state, { key, version: changed.version, beganAt, confirmed });
    } catch (error) {
      this.#failed(error, 'writeErrors');
    } finally {
      this.#busy.delete(name);
    }
  }

  /** Changes the database, then invalidates by key, by tag, or the whole namespace. */
  async #changeTruth(agent: ChaosAgent): Promise<void> {
    const key = this.#key();
    const name = `load ${key}`;
    if (this.#busy.has(name)) return;
    this.#busy.add(name);
    const dice = this.#random();
    const confirmed = this.#random() < 0.5;
    const beganAt = performance.now();
    try {
      const value = (this.#truth.get(key) ?? 0) + 1;
      this.#truth.set(key, value);
      const scope = dice < 0.9 ? { keys: [key] } : dice < 0.97 ? { tags: ['all'] } : {};
      const changed = await agent.client.invalidate(LOAD_NAMESPACE, scope, {
        confirm: confirmed ? 4_000 : false,
      });
      this.#changed(this.loads, changed.state, { key, version: `${value}-0`, beganAt, confirmed });
    } catch (error) {
      this.#failed(error, 'writeErrors');
    } finally {
      this.#busy.delete(name);
    }
  }

  #changed(history: History, state: string, change: Omit<AckedChange, 'ackedAt'>): void {
    this.counters.writes += 1;
    if (state === 'queued') {
      this.counters.queued += 1;
      return;
    }
    if (change.confirmed) this.counters.confirmed += 1;
    history.changed({ ...change, ackedAt: performance.now() });
  }

  #failed(error: unknown, counter: 'readErrors' | 'writeErrors'): void {
    // An agent that is frozen, killed or cut off answers nothing: that is allowed. Anything else is not.
    if (!(error instanceof EdgeCacheError) || !error.retryable) throw error;
    this.counters[counter] += 1;
  }

  #key(): string {
    return `k${Math.floor(this.#random() ** 2 * this.#keys)}`;
  }
}
