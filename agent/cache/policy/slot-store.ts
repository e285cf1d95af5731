import type { BoundedStore, BoundedStoreOptions } from '../store.ts';
import { Capacity, type EvictionPolicy } from './eviction-policy.ts';
import { hashKey } from './key-hash.ts';
import { type Links, NONE } from './slot-list.ts';

/** {@link BoundedStore} whose entries stand in numbered slots, which a policy orders without knowing keys or values. */
export class SlotStore<V> implements BoundedStore<V> {
  readonly #slots = new Map<string, number>();
  readonly #keys: string[] = [];
  readonly #values: (V | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #links: Links;
  readonly #capacity: Capacity;
  readonly #policy: EvictionPolicy;
  readonly #onEvict: ((key: string, value: V) => void) | undefined;

  constructor(options: BoundedStoreOptions<V>, links: Links, build: (capacity: Capacity) => EvictionPolicy) {
    this.#links = links;
    this.#capacity = new Capacity(options.maxEntries, options.maxWeight);
    this.#policy = build(this.#capacity);
    this.#onEvict = options.onEvict;
  }

  get size(): number {
    return this.#capacity.entries;
  }

  get weight(): number {
    return this.#capacity.weight;
  }

  get(key: string): V | undefined {
    const slot = this.#slots.get(key);
    if (slot === undefined) return undefined;
    this.#policy.use(slot);
    return this.#values[slot];
  }

  peek(key: string): V | undefined {
    const slot = this.#slots.get(key);
    return slot === undefined ? undefined : this.#values[slot];
  }

  set(key: string, value: V, weight: number): boolean {
    const slot = this.#slots.get(key);
    if (weight > this.#capacity.maxWeight) {
      this.delete(key);
      this.#onEvict?.(key, value);
      return false;
    }
    if (slot === undefined) return this.#add(key, value, weight);
    return this.#replace(slot, value, weight);
  }

  delete(key: string): boolean {
    const slot = this.#slots.get(key);
    if (slot === undefined) return false;
    this.#policy.remove(slot);
    this.#release(slot);
    return true;
  }

  clear(): void {
    this.#slots.clear();
    this.#keys.length = 0;
    this.#values.length = 0;
    this.#free.length = 0;
    this.#capacity.entries = 0;
    this.#capacity.weight = 0;
    this.#policy.clear();
  }

  evictOne(): boolean {
    if (this.#capacity.entries === 0) return false;
    this.#capacity.noteFull();
    this.#evict(this.#policy.victim());
    return true;
  }

  *entries(): IterableIterator<[string, V]> {
    const { lists } = this.#policy;
    for (let i = lists.length - 1; i >= 0; i--) {
      const list = lists[i];
      let slot = list?.newest ?? NONE;
      while (slot !== NONE) {
        // Taken before the entry is handed out, as the caller may delete it.
        const older = list?.olderThan(slot) ?? NONE;
        yield [this.#keys[slot] as string, this.#values[slot] as V];
        slot = older;
      }
    }
  }

  resize(maxEntries: number, maxWeight: number): void {
    if (maxEntries === this.#capacity.maxEntries && maxWeight === this.#capacity.maxWeight) return;
    this.#capacity.resize(maxEntries, maxWeight);
    this.#makeRoom(0, 0);
  }

  #add(key: string, value: V, weight: number): boolean {
    const hash = hashKey(key);
    if (this.#policy.announce(hash)) this.#makeRoom(1, weight);
    const slot = this.#free.pop() ?? this.#keys.length;
    this.#slots.set(key, slot);
    this.#keys[slot] = key;
    this.#values[slot] = value;
    this.#capacity.entries += 1;
    this.#capacity.weight += weight;
    this.#policy.add(slot, hash, weight);
    this.#makeRoom(0, 0);
    return this.#keys[slot] === key;
  }

  #replace(slot: number, value: V, weight: number): boolean {
    const key = this.#keys[slot] ?? '';
    this.#capacity.weight += weight - (this.#links.weight[slot] ?? 0);
    this.#values[slot] = value;
    this.#policy.reweigh(slot, weight);
    this.#makeRoom(0, 0);
    return this.#slots.get(key) === slot;
  }

  #makeRoom(entries: number, weight: number): void {
    const capacity = this.#capacity;
    while (
      capacity.entries + entries > capacity.maxEntries ||
      capacity.weight + weight > capacity.maxWeight
    ) {
      capacity.noteFull();
      this.#evict(this.#policy.victim());
    }
  }

  #evict(slot: number): void {
    const key = this.#keys[slot] ?? '';
    const value = this.#values[slot] as V;
    this.#policy.evict(slot);
    this.#release(slot);
    this.#onEvict?.(key, value);
  }

  #release(slot: number): void {
    this.#slots.delete(this.#keys[slot] ?? '');
    this.#capacity.entries -= 1;
    this.#capacity.weight -= this.#links.weight[slot] ?? 0;
    this.#keys[slot] = '';
    this.#values[slot] = undefined;
    this.#free.push(slot);
  }
}
