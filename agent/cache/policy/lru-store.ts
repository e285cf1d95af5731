import { LRUCache } from 'lru-cache';
import type { BoundedStore, BoundedStoreOptions } from '../store.ts';

/** {@link BoundedStore} that evicts the least recently used. */
export class LruStore<V extends object> implements BoundedStore<V> {
  #cache: LRUCache<string, V>;
  #clearing = false;
  readonly #onEvict: ((key: string, value: V) => void) | undefined;

  constructor(options: BoundedStoreOptions<V>) {
    this.#onEvict = options.onEvict;
    this.#cache = this.#build(options.maxEntries, options.maxWeight);
  }

  get size(): number {
    return this.#cache.size;
  }

  get weight(): number {
    return this.#cache.calculatedSize;
  }

  get(key: string): V | undefined {
    return this.#cache.get(key);
  }

  peek(key: string): V | undefined {
    return this.#cache.peek(key);
  }

  set(key: string, value: V, weight: number): boolean {
    // lru-cache drops what is larger than the whole without a word, and callers count on one.
    if (weight > this.#cache.maxSize) {
      this.#cache.delete(key);
      this.#onEvict?.(key, value);
      return false;
    }
    this.#cache.set(key, value, { size: Math.max(1, weight) });
    return true;
  }

  delete(key: string): boolean {
    return this.#cache.delete(key);
  }

  clear(): void {
    this.#clearing = true;
    this.#cache.clear();
    this.#clearing = false;
  }

  evictOne(): boolean {
    return this.#cache.pop() !== undefined;
  }

  entries(): IterableIterator<[string, V]> {
    return this.#cache.entries();
  }

  resize(maxEntries: number, maxWeight: number): void {
    const old = this.#cache;
    if (maxEntries === old.max && maxWeight === old.maxSize) return;
    this.#cache = this.#build(maxEntries, maxWeight);
    // From the least to the most recently used, so that what does not fit is what was used longest ago.
    for (const [key, value] of old.rentries()) {
      if (typeof key === 'string' && typeof value === 'object')
        this.set(key, value, old.info(key)?.size ?? 1);
    }
  }

  #build(maxEntries: number, maxWeight: number): LRUCache<string, V> {
    return new LRUCache<string, V>({
      max: maxEntries,
      maxSize: maxWeight,
      dispose: (value, key, reason) => {
        // The others are the caller's own doing; an eviction is news to it.
        if (reason === 'evict' && !this.#clearing) this.#onEvict?.(key, value);
      },
    });
  }
}
