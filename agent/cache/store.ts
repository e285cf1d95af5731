/**
 * A bounded map with an eviction policy: what L1 keeps the entries of one namespace in.
 * Weights are bytes. Implementations do no I/O and never throw for a known key.
 */
export interface BoundedStore<V> {
  /** Looks up and counts as a use. */
  get(key: string): V | undefined;
  /** Looks up without counting as a use. */
  peek(key: string): V | undefined;
  /**
   * Adds or replaces, evicting others as needed. Returns false where the policy did not admit it: then neither it
   * nor what it was to replace is there. An entry that is replaced keeps its standing.
   */
  set(key: string, value: V, weight: number): boolean;
  delete(key: string): boolean;
  clear(): void;
  /** Evicts one entry of the policy's choice; false when empty. */
  evictOne(): boolean;
  /** Entries from the one most worth keeping to the least, as far as the policy knows. */
  entries(): IterableIterator<[string, V]>;
  resize(maxEntries: number, maxWeight: number): void;
  readonly size: number;
  readonly weight: number;
}

export interface BoundedStoreOptions<V> {
  /** At least 1. */
  readonly maxEntries: number;
  /** Bytes; at least 1. */
  readonly maxWeight: number;
  /** Called for each entry that the policy evicts or refuses; not for what `set` replaces, `delete` and `clear`. */
  readonly onEvict?: (key: string, value: V) => void;
}
