export interface LargeKey {
  readonly namespace: string;
  readonly key: string;
  /** As memory weighs it. */
  readonly bytes: number;
}

/**
 * The largest entries that memory holds, of those that came in since few enough of the ones before were left. Constant in
 * the size of memory: an entry that is smaller than the smallest of them costs one comparison.
 */
export class LargestKeys {
  readonly #capacity: number;
  readonly #found = new Map<string, LargeKey>();
  #floor = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  note(namespace: string, key: string, bytes: number): void {
    if (bytes <= this.#floor) return;
    this.#found.set(`${namespace}\0${key}`, { namespace, key, bytes });
    if (this.#found.size < 2 * this.#capacity) return;
    this.#keep([...this.#found.values()].sort(bySize).slice(0, this.#capacity));
    this.#floor = Math.max(this.#floor, Math.min(...[...this.#found.values()].map(({ bytes: b }) => b)));
  }

  /** @param weightOf what an entry weighs now; undefined: it is gone */
  top(most: number, weightOf: (namespace: string, key: string) => number | undefined): LargeKey[] {
    const held = [...this.#found.values()].flatMap(({ namespace, key }) => {
      const bytes = weightOf(namespace, key);
      return bytes === undefined ? [] : [{ namespace, key, bytes }];
    });
    this.#keep(held);
    // Those that were too small for the list when it was full may be the largest now; they count when they come again.
    if (held.length < this.#capacity / 2) this.#floor = 0;
    return held.sort(bySize).slice(0, most);
  }

  #keep(keys: readonly LargeKey[]): void {
    this.#found.clear();
    for (const one of keys) this.#found.set(`${one.namespace}\0${one.key}`, one);
  }
}

function bySize(a: LargeKey, b: LargeKey): number {
  return b.bytes - a.bytes;
}
