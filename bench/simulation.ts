import { createStore } from '../agent/cache/policy/create-store.ts';
import { Links } from '../agent/cache/policy/slot-list.ts';
import { SlotStore } from '../agent/cache/policy/slot-store.ts';
import type { BoundedStore } from '../agent/cache/store.ts';
import { LfuPolicy } from './lfu-policy.ts';
import { optimalHits } from './optimum.ts';

export const POLICIES = ['lru', 'lfu', 's3fifo', 'tinylfu', 'default', 'optimum'] as const;
export type SimulatedPolicy = (typeof POLICIES)[number];

export interface SimulationResult {
  readonly requests: number;
  readonly keys: number;
  /** From 0 to 1. */
  readonly hitRatios: Partial<Record<SimulatedPolicy, number>>;
}

/** Anything will do as a value: one for all, so that only the policies cost memory. */
const VALUE = {};

/** Plays a trace against a cold cache of each policy: a request is a get, and a put where that misses. */
export class Simulation {
  readonly #size: number;
  readonly #runs: { readonly policy: SimulatedPolicy; readonly store: BoundedStore<object>; hits: number }[];
  readonly #ids = new Map<string, number>();
  readonly #withOptimum: boolean;
  /** The trace by numbers of keys, which only the optimum needs: it must see it all first. */
  #trace = new Int32Array(1024);
  #requests = 0;

  constructor(size: number, policies: readonly SimulatedPolicy[] = POLICIES) {
    this.#size = size;
    this.#withOptimum = policies.includes('optimum');
    this.#runs = policies.flatMap((policy) =>
      policy === 'optimum' ? [] : [{ policy, store: storeOf(policy, size), hits: 0 }],
    );
  }

  request(key: string): void {
    let id = this.#ids.get(key);
    if (id === undefined) {
      id = this.#ids.size;
      this.#ids.set(key, id);
    }
    if (this.#withOptimum) this.#record(id);
    this.#requests += 1;
    for (const run of this.#runs) {
      if (run.store.get(key) === undefined) run.store.set(key, VALUE, 1);
      else run.hits += 1;
    }
  }

  result(): SimulationResult {
    const requests = this.#requests;
    const ratios = this.#runs.map(({ policy, hits }) => [policy, hits / requests] as const);
    const hitRatios: Partial<Record<SimulatedPolicy, number>> = Object.fromEntries(ratios);
    if (this.#withOptimum) {
      const hits = optimalHits(this.#trace.subarray(0, requests), this.#ids.size, this.#size);
      hitRatios.optimum = hits / requests;
    }
    return { requests, keys: this.#ids.size, hitRatios };
  }

  #record(id: number): void {
    if (this.#requests === this.#trace.length) {
      const longer = new Int32Array(2 * this.#trace.length);
      longer.set(this.#trace);
      this.#trace = longer;
    }
    this.#trace[this.#requests] = id;
  }
}

function storeOf(policy: Exclude<SimulatedPolicy, 'optimum'>, size: number): BoundedStore<object> {
  const options = { maxEntries: size, maxWeight: Number.MAX_SAFE_INTEGER };
  if (policy !== 'lfu') return createStore(policy, options);
  const links = new Links();
  return new SlotStore(options, links, () => new LfuPolicy(links));
}
